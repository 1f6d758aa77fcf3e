"""What is known to hold where a condition is true, or false.

A fact is a pair: ("present", key) or ("absent", key) of a value, ("true", key) or ("false", key) of a condition, ("ran", id) of a step.
Keys come from `tree.key_of`; what has no key is not followed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jinja2 import nodes

from flowkit.checker.kinds import Condition, Facts, Loop, StepKind, Steps
from flowkit.checker.scope import Scope
from flowkit.checker.tree import key_of

NOTHING: Facts = frozenset()

#: A true result of these means that what they were given was there.
_KEEP_EMPTINESS = frozenset(
    (
        "list length count trim first last select selectattr reject rejectattr map sort join unique string lower upper "
        "sum max min default d dictsort items reverse lines tojson json"
    ).split()
)
_FALSY: tuple[object, ...] = ("", 0, False, None)


def learn(node: nodes.Node, scope: Scope, steps: Mapping[str, StepKind], *, truth: bool) -> Facts:
    """Return what holds when a condition is true, or false."""
    key = key_of(node, scope)
    found: set[tuple[str, str]] = set()
    if key is not None:
        found.add(("true" if truth else "false", key))
    found |= _of_loop(node, scope, truth=truth)
    found |= _specific(node, scope, steps, truth=truth)
    return frozenset(found) | _of_steps(found, steps)


def _specific(node: nodes.Node, scope: Scope, steps: Mapping[str, StepKind], *, truth: bool) -> set[tuple[str, str]]:
    def of(child: nodes.Node, when: bool) -> Facts:
        return learn(child, scope, steps, truth=when)

    match node:
        case nodes.Not():
            return set(of(node.node, not truth))
        case nodes.And() | nodes.Or():
            return _of_chain(_chain(node), of, every=isinstance(node, nodes.And) == truth, truth=truth)
        case nodes.Test():
            return _of_test(node, scope, steps, truth=truth)
        case nodes.Compare():
            return _of_comparison(node, scope, steps, truth=truth)
        case nodes.Name() | nodes.Getattr() | nodes.Getitem():
            return _of_path(node, scope, truth=truth)
        case nodes.Filter() if truth and node.node is not None and node.name in _KEEP_EMPTINESS:
            replaced = node.name in {"default", "d"} and node.args and not _falsy(node.args[0])
            return set() if replaced else set(of(node.node, True))
    return set()


def _chain(node: nodes.And | nodes.Or) -> list[nodes.Node]:
    """Return the operands of `a and b and c`, which Jinja nests to the left."""
    operands: list[nodes.Node] = []
    rest: nodes.Node = node
    while isinstance(rest, (nodes.And, nodes.Or)) and type(rest) is type(node):
        operands.append(rest.right)
        rest = rest.left
    operands.append(rest)
    return operands[::-1]


def _of_chain(operands: list[nodes.Node], of: Callable[[nodes.Node, bool], Facts], *, every: bool, truth: bool) -> set[tuple[str, str]]:
    if every:
        return set().union(*(of(o, truth) for o in operands))
    # One operand decided, after those before it did not: what holds whichever it was holds.
    before: Facts = NOTHING
    cases = []
    for operand in operands:
        cases.append(before | of(operand, truth))
        before |= of(operand, not truth)
    return set(frozenset.intersection(*cases))


def _falsy(node: nodes.Node) -> bool:
    return (isinstance(node, nodes.Const) and node.value in _FALSY) or (isinstance(node, (nodes.List, nodes.Dict)) and not node.items)


def _of_path(node: nodes.Node, scope: Scope, *, truth: bool) -> set[tuple[str, str]]:
    step = _step_of(node, scope)
    if step is not None and isinstance(node, nodes.Getattr):
        id_, attribute = step
        if attribute == "skipped":
            return {("absent", f"steps.{id_}.output")} if truth else {("ran", id_)}
        if attribute == "error":
            return {("absent", f"steps.{id_}.output"), ("present", f"steps.{id_}.error")} if truth else {("absent", f"steps.{id_}.error")}
    return _present(node, scope) if truth else set()


def _present(node: nodes.Node, scope: Scope) -> set[tuple[str, str]]:
    """Return that a value is there, and with it all that it is a part of."""
    found: set[tuple[str, str]] = set()
    while isinstance(node, (nodes.Name, nodes.Getattr, nodes.Getitem)):
        key = key_of(node, scope)
        if key is not None:
            found.add(("present", key))
        step = _step_of(node, scope)
        if step is not None and step[1] in {"output", "results", "messages"}:
            found.add(("ran", step[0]))
        if isinstance(node, nodes.Name):
            break
        node = node.node
    return found


def _step_of(node: nodes.Node, scope: Scope) -> tuple[str, str] | None:
    """Return (id, attribute) of `steps.id.attribute`, or of a name that stands for it."""
    key = key_of(node, scope)
    parts = key.split(".") if key is not None else []
    if len(parts) == 3 and parts[0] == "steps":
        root = scope.find("steps")
        return (parts[1], parts[2]) if root is not None and isinstance(root.kind, Steps) else None
    return None


def _of_test(node: nodes.Test, scope: Scope, steps: Mapping[str, StepKind], *, truth: bool) -> set[tuple[str, str]]:
    if node.name in {"none", "undefined"}:
        return _presence(node.node, scope, there=not truth)
    if node.name == "defined":
        return _presence(node.node, scope, there=truth)
    if node.name in {"true", "false"}:
        found = set(learn(node.node, scope, steps, truth=node.name == "true")) if truth else set()
        return found | (_present(node.node, scope) if truth else set())
    return _present(node.node, scope) if truth else set()


def _presence(node: nodes.Node, scope: Scope, *, there: bool) -> set[tuple[str, str]]:
    if there:
        return _present(node, scope)
    key = key_of(node, scope)
    return {("absent", key)} if key is not None else set()


def _of_comparison(node: nodes.Compare, scope: Scope, steps: Mapping[str, StepKind], *, truth: bool) -> set[tuple[str, str]]:
    found = _of_words(node, scope, truth=truth)
    left = node.expr
    single = len(node.ops) == 1
    for operand in node.ops:
        right = operand.expr
        if operand.op in {"eq", "ne"} and (truth or single):
            same = (operand.op == "eq") == truth
            for one, other in ((left, right), (right, left)):
                if isinstance(other, nodes.Const):
                    if other.value is None:
                        found |= _presence(one, scope, there=not same)
                    elif same:
                        found |= _present(one, scope)
                        if isinstance(other.value, bool):
                            found |= learn(one, scope, steps, truth=other.value)
        elif truth and operand.op == "in" and not _holds_none(right):
            found |= _present(left, scope)
        elif truth and single and _says_some(operand.op, right):
            found |= learn(left, scope, steps, truth=True)
        left = right
    if single and not truth and node.ops[0].op == "eq" and isinstance(node.ops[0].expr, nodes.Const) and node.ops[0].expr.value == 0:
        found |= learn(node.expr, scope, steps, truth=True)
    return found


def _of_words(node: nodes.Compare, scope: Scope, *, truth: bool) -> set[tuple[str, str]]:
    """Return which word a value is, or is not."""
    if len(node.ops) != 1:
        return set()
    found: set[tuple[str, str]] = set()
    for subject, other in ((node.expr, node.ops[0].expr), (node.ops[0].expr, node.expr)):
        key = key_of(subject, scope)
        words = _words(other)
        if key is None or isinstance(subject, nodes.Const) or not words:
            continue
        op = node.ops[0].op
        same = truth == (op in {"eq", "in"})
        if op in {"eq", "ne"} and len(words) == 1 and isinstance(other, nodes.Const):
            found.add(("is" if same else "is not", f"{key}={words[0]}"))
        elif op in {"in", "notin"} and subject is node.expr and not isinstance(other, nodes.Const):
            if same:
                found.add(("is one of", f"{key}={chr(0).join(sorted(words))}"))
            else:
                found.update(("is not", f"{key}={w}") for w in words)
    return found


def _words(node: nodes.Node) -> list[str]:
    """Return the literal words of `'a'` or `['a', 'b']`; none when any of them is no literal."""
    parts = node.items if isinstance(node, (nodes.List, nodes.Tuple)) else [node]
    words = [p.value for p in parts if isinstance(p, nodes.Const) and isinstance(p.value, str)]
    return words if len(words) == len(parts) else []


def _of_loop(node: nodes.Node, scope: Scope, *, truth: bool) -> set[tuple[str, str]]:
    """Return what the round of a loop says of its neighbours."""
    if not isinstance(node, nodes.Getattr) or not isinstance(node.node, nodes.Name):
        return set()
    binding = scope.find(node.node.name)
    if binding is None or not isinstance(binding.kind, Loop):
        return set()
    neighbour = {
        "first": ("previtem", False),
        "last": ("nextitem", False),
        "index0": ("previtem", True),
        "revindex0": ("nextitem", True),
    }.get(node.attr)
    return {("present", f"{binding.key}.{neighbour[0]}")} if neighbour is not None and neighbour[1] == truth else set()


# -- whether a condition of a step holds -------------------------------------------------------------------


def holds(condition: Condition, facts: Facts) -> bool:
    """Tell whether the facts of a text say that the condition of a step held."""
    return _decided(condition.tree, condition, facts) is True


def _decided(node: nodes.Node, condition: Condition, facts: Facts) -> bool | None:
    """Return what a part of a condition is under some facts; None where they do not say."""
    scope = condition.scope
    assert isinstance(scope, Scope)
    key = key_of(node, scope)
    if key is not None and ("true", key) in facts:
        return True
    if key is not None and ("false", key) in facts:
        return False
    match node:
        case nodes.Not():
            inner = _decided(node.node, condition, facts)
            return None if inner is None else not inner
        case nodes.And() | nodes.Or():
            parts = [_decided(p, condition, facts) for p in _chain(node)]
            deciding = isinstance(node, nodes.Or)
            return deciding if deciding in parts else None if None in parts else not deciding
        case nodes.Compare() if len(node.ops) == 1:
            return _decided_comparison(node, scope, condition, facts)
        case nodes.Getattr():
            # `when: steps.a.output` holds where a is known to have run, as far as a guard of the format goes.
            step = _step_of(node, scope)
            if step is not None and step[1] == "skipped":
                return False if ("ran", step[0]) in facts else True if ("absent", f"steps.{step[0]}.output") in facts else None
    return None


def _decided_comparison(node: nodes.Compare, scope: Scope, condition: Condition, facts: Facts) -> bool | None:
    op, other = node.ops[0].op, node.ops[0].expr
    subject = key_of(node.expr, scope)
    opposite = {"eq": "ne", "ne": "eq", "lt": "gteq", "gteq": "lt", "gt": "lteq", "lteq": "gt", "in": "notin", "notin": "in"}.get(op)
    if opposite is not None:
        turned = key_of(nodes.Compare(node.expr, [nodes.Operand(opposite, other)]), scope)
        for fact, said in (("true", False), ("false", True)):
            if turned is not None and (fact, turned) in facts:
                return said
    wanted = frozenset(_words(other))
    if subject is None or subject not in condition.words or not wanted or op not in {"eq", "ne", "in", "notin"}:
        return None
    possible = condition.words[subject]
    for fact, text in facts:
        if fact in {"is", "is not", "is one of"} and text.startswith(subject + "="):
            said_words = frozenset(text[len(subject) + 1 :].split("\0"))
            possible = possible - said_words if fact == "is not" else possible & said_words
    among = True if possible <= wanted else None if possible & wanted else False
    return among if op in {"eq", "in"} or among is None else not among


def _holds_none(node: nodes.Node) -> bool:
    if isinstance(node, (nodes.List, nodes.Tuple)):
        return not all(isinstance(i, nodes.Const) and i.value is not None for i in node.items)
    return True


def _says_some(op: str, right: nodes.Node) -> bool:
    """Tell whether `x OP right` says that the number x is not 0: `x > 0`, `x >= 1`, `x != 0`."""
    if not isinstance(right, nodes.Const) or isinstance(right.value, (str, bool)) or right.value is None:
        return False
    return (op == "gt" and right.value >= 0) or (op == "gteq" and right.value > 0) or (op == "ne" and right.value == 0)


def _of_steps(found: set[tuple[str, str]], steps: Mapping[str, StepKind]) -> Facts:
    """Return what follows from the steps that are known to have run: their own conditions held."""
    more: set[tuple[str, str]] = set()
    for what, id_ in found:
        if what == "ran" and id_ in steps:
            more |= steps[id_].facts
        elif what in {"absent", "false"} and id_.startswith("steps.") and id_.endswith(".output"):
            # Where a step with a `when` gave nothing, its condition did not hold.
            step = steps.get(id_.split(".")[1])
            if step is not None and step.causes == {"when"} and id_ == f"steps.{step.id}.output":
                more |= step.denied
    return frozenset(more)
