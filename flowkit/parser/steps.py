"""Turn the mapping of one step into a StepSpec. Knows keys and kinds, not whether names lead anywhere."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flowkit.keys import TABLES, StepKind
from flowkit.keys.step import MAKERS
from flowkit.parser.messages import examples, messages
from flowkit.parser.models import model_names, params
from flowkit.parser.modifiers import checks, on_error, repeat, retry, timeout
from flowkit.parser.names import free_name, set_name, step_id
from flowkit.parser.reading import Found, Reading, entries, is_mapping, own
from flowkit.parser.texts import expression, is_unknown, named, text, unknown
from flowkit.parser.values import BAD, key_value, value_of
from flowkit.source import Mapping, Node, Scalar, Sequence
from flowkit.spec import Expr, MapOf, MessageSpec, StepSpec
from flowkit.types.algebra import ANY, STRING, List, Type

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingOf

    from flowkit.parser.fields import Types

_STEP, _VARIANT = TABLES["step"], TABLES["variant"]
_NOUNS: MappingOf[StepKind, str] = {
    "chat": "asks a model",
    "flow": "runs another flow ('uses')",
    "call": "calls a function ('call')",
    "set": "sets values ('set')",
}
_OWNERS: MappingOf[StepKind, str] = {"chat": "'prompt' or 'messages'", "flow": "'uses'", "call": "'call'", "set": "'set'"}
#: The way out where a key stands on a step of the wrong kind.
_WAYS: MappingOf[tuple[str, StepKind], str] = {
    ("output", "flow"): "its type is that of the outputs of the flow",
    ("cache", "flow"): "write it on the steps of that flow, or under its 'defaults'",
    ("cache", "call"): "a function runs in every run; only answers of models are used again",
    ("cache", "set"): "values are computed in every run; only answers of models are used again",
    ("variants", "flow"): "write them on the steps of that flow; one is chosen with --variant step/inner=name",
}
_FUNCTION = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


def steps(r: Reading, node: Node, types: Types) -> dict[str, StepSpec]:
    """Read `steps`; no step is lost because one of its keys is wrong."""
    if isinstance(node, Sequence):
        hint = "write the id as the key: 'draft:' instead of '- id: draft'"
        r.error("wrong-type", node.place(), "'steps' must be a mapping from ids to steps, not a list", hint)
        return {}
    mapping = is_mapping(r, node, "'steps'", "write a step below it: reply: {prompt: …}")
    if mapping is None:
        return {}
    found = {}
    for key, value in own(mapping):
        step_id(r, key)
        body = is_mapping(r, value, f"step {key.text!r}", "write what the step does below it, such as prompt: …")
        found[key.text] = _step(r, key, body, types) if body else _silent(StepSpec(key.text, key, mapping, "set"))
    if not found and r.complete:
        r.error("empty-value", node.place(), "'steps' is empty", "write a step: reply: {prompt: …}")
    return found


def _step(r: Reading, key: Scalar, node: Mapping, types: Types) -> StepSpec:
    """Read one step: long because it is the list of all keys that a step may have."""
    where = f"step {key.text!r}"
    before = len(r.problems.found)
    found = entries(r, node, _STEP, where)
    kind = _kind(r, key, found, where, reported=len(r.problems.found) > before)
    _only_of_kind(r, kind, found, where)
    output = types.output(found["output"].value, f"the output of {where}") if "output" in found else None
    answer = STRING if output is None and kind == "chat" else output
    one = "samples" not in found or "pick" in found  # else a default stands for the whole list
    values, keys = params(r, found["params"].value, where) if "params" in found else ({}, {})
    spec = StepSpec(
        key.text,
        key,
        node,
        kind,
        messages=_messages(r, found, where),
        examples=examples(r, found["examples"].value, answer or ANY, where) if "examples" in found else (),
        tools=_tools(r, found.get("tools"), where),
        output=output,
        output_node=found["output"].value if "output" in found else None,
        uses=_word(r, found.get("uses"), "uses", where),
        call=_function(r, found.get("call"), where),
        with_=_named(r, found.get("with"), "with", where),
        set=_set(r, found.get("set"), where),
        needs=_needs(r, found.get("needs"), where),
        when=_expr(r, found.get("when"), "when", where),
        foreach=_expr(r, found.get("foreach"), "foreach", where),
        as_=free_name(r, found["as"].value, f"'as' of {where}") if "as" in found else None,
        max_parallel=key_value(r, found, _STEP, "max_parallel", where),
        repeat=repeat(r, found.get("repeat"), where),
        model=model_names(r, found["model"].value, where) if "model" in found else (),
        params=values,
        param_keys=keys,
        checks=checks(r, found.get("checks"), where),
        retry=retry(r, found.get("retry"), where),
        timeout=timeout(r, found.get("timeout"), where),
        cache=key_value(r, found, _STEP, "cache", where),
        on_error=on_error(r, found.get("on_error"), answer if one or answer is None else List(answer), where),
        on_skip=key_value(r, found, _STEP, "on_skip", where, "skip" if "on_skip" in found else "run"),
        samples=key_value(r, found, _STEP, "samples", where),
        pick=key_value(r, found, _STEP, "pick", where),
        keys={name: each.written for name, each in found.items()},
    )
    if is_unknown(spec.when):  # whether the step is skipped is not known either
        spec = replace(spec, when=None)
    _together(r, found, where)
    if (kind == "flow" and spec.uses is None) or (kind == "call" and spec.call is None) or not any(maker in found for maker in MAKERS):
        return _silent(spec)
    return replace(spec, variants=_variants(r, found["variants"].value, spec, answer or ANY, where)) if "variants" in found else spec


def _silent(step: StepSpec) -> StepSpec:
    """Return a step that cannot be what it is meant to be as one that gives anything, so that nothing follows from its mistake."""
    return replace(step, kind="set", set=unknown(step.key), output=None, output_node=None, messages=(), with_=None)


# -- the kind ----------------------------------------------------------------------------------------------


def _kind(r: Reading, key: Scalar, found: dict[str, Found], where: str, *, reported: bool) -> StepKind:
    """Return the kind that the keys of a step make; a step with none or two is reported."""
    makers = [name for name in found if name in MAKERS]
    if not makers:
        if not reported and r.complete:
            hint = "write prompt or messages (a model), uses (a flow), call (a function) or set (values)"
            if "system" in found:
                hint = "'system' stands before a prompt: write 'prompt' too"
            elif "with" in found:
                hint = "'with' stands beside 'uses: file.flow.yaml' or 'call: module:function'"
            r.error("no-kind", key.place(), f"{where} does not say what it does", hint)
        if "with" in found and "system" not in found:
            return "flow"
        return "chat"
    first = makers[0]
    for other in makers[1:]:
        message = f"{where} has {first!r} and {other!r}; a step does one thing"
        hint = (
            "write the prompt as the last message: - user: …"
            if {first, other} == {"messages", "prompt"}
            else f"make {other!r} a step of its own"
        )
        r.error("two-kinds", found[other].place, message, hint)
        del found[other]
    return MAKERS[first]


def _only_of_kind(r: Reading, kind: StepKind, found: dict[str, Found], where: str) -> None:
    """Report keys that steps of this kind do not have, and take them out."""
    for name, each in list(found.items()):
        kinds = _STEP[name].kinds
        if not kinds or kind in kinds:
            continue
        del found[name]
        if each.written.text != name or not any(maker in found for maker in MAKERS):
            continue  # a word of another tool, or a step of no kind: reported already
        owners = " or ".join(_OWNERS[k] for k in kinds)
        message = f"{name!r} belongs to a step with {owners}, and {where} {_NOUNS[kind]}"
        r.error("misplaced-key", each.place, message, _WAYS.get((name, kind)))
    if "system" in found and "messages" in found:
        each = found.pop("system")
        r.error("misplaced-key", each.place, f"'system' of {where} stands beside 'messages'", "write it as the first message: - system: …")


def _together(r: Reading, found: dict[str, Found], where: str) -> None:
    """Report keys that mean nothing without another one."""
    for name, others in (("as", ("foreach",)), ("pick", ("samples",)), ("max_parallel", ("foreach", "samples"))):
        if name in found and not any(other in found for other in others):
            wanted = " or ".join(map(repr, others))
            r.error(
                "misplaced-key",
                found[name].place,
                f"{name!r} of {where} means nothing without {wanted}",
                f"write {others[0]}: …, or delete it",
            )


# -- one key each ------------------------------------------------------------------------------------------


def _messages(r: Reading, found: dict[str, Found], where: str) -> tuple[MessageSpec, ...]:
    if "messages" in found:
        return messages(r, found["messages"].value, where)
    read = []
    for name, role in (("system", "system"), ("prompt", "user")):
        if name in found and (content := text(r, found[name].value, f"{name!r} of {where}")) is not None:
            read.append(MessageSpec(role, found[name].written, text=content))
    return tuple(read)


def _word(r: Reading, found: Found | None, name: str, where: str) -> Scalar | None:
    if found is None or value_of(r, _STEP[name].shape, found.value, f"{name!r} of {where}") is BAD:
        return None
    return found.value if isinstance(found.value, Scalar) else None


def _expr(r: Reading, found: Found | None, name: str, where: str) -> Expr | None:
    return None if found is None else expression(r, found.value, f"{name!r} of {where}")


def _named(r: Reading, found: Found | None, name: str, where: str) -> Expr | None:
    return None if found is None else named(r, found.value, found.written, f"{name!r} of {where}")


def _set(r: Reading, found: Found | None, where: str) -> Expr | None:
    read = _expr(r, found, "set", where) if found and isinstance(found.value, Sequence) else _named(r, found, "set", where)
    if isinstance(read, MapOf):
        for key in read.keys.values():
            set_name(r, key)
    return read


def _function(r: Reading, found: Found | None, where: str) -> Scalar | None:
    name = _word(r, found, "call", where)
    return name if name is not None and _is_function(r, name, f"'call' of {where}") else None


def _is_function(r: Reading, name: Scalar, what: str) -> bool:
    if _FUNCTION.fullmatch(name.text):
        return True
    module, _, function = name.text.removesuffix("()").rpartition(".")
    guess = f"{module}:{function}"
    hint = f"write {guess}" if _FUNCTION.fullmatch(guess) and function != "py" else "write module:function, as in shop.orders:find"
    r.error("invalid-function", name.place(), f"{what} must name a function as module:function, not {name.text!r}", hint)
    return False


def _tools(r: Reading, found: Found | None, where: str) -> tuple[Scalar, ...]:
    """Functions, and flows, which are known by the end of their names."""
    what = f"an entry of 'tools' of {where}"
    return tuple(n for n in _names(r, found, "tools", where) if n.text.endswith((".yaml", ".yml")) or _is_function(r, n, what))


def _needs(r: Reading, found: Found | None, where: str) -> tuple[Scalar, ...]:
    if found is not None and isinstance(found.value, Sequence) and not found.value.items:
        return ()
    return _names(r, found, "needs", where)


def _names(r: Reading, found: Found | None, name: str, where: str) -> tuple[Scalar, ...]:
    if found is None:
        return ()
    node = found.value
    if value_of(r, _STEP[name].shape, node, f"{name!r} of {where}") is BAD:
        return (node,) if isinstance(node, Scalar) and isinstance(node.value, str) and node.text else ()
    return tuple(item for item in node.items if isinstance(item, Scalar)) if isinstance(node, Sequence) else ()


# -- variants ----------------------------------------------------------------------------------------------


def _variants(r: Reading, node: Node, step: StepSpec, answer: Type, where: str) -> dict[str, StepSpec]:
    """Return the whole step as it is with each variant."""
    mapping = is_mapping(r, node, f"'variants' of {where}")
    read = {}
    for key, value in own(mapping) if mapping else ():
        what = f"the variant {key.text!r} of {where}"
        body = is_mapping(r, value, what)
        if body is not None:
            read[key.text] = replace(_variant(r, body, step, answer, what), variant=key)
    return read


def _variant(r: Reading, node: Mapping, step: StepSpec, answer: Type, what: str) -> StepSpec:
    found = entries(r, node, _VARIANT, what)
    if "messages" in found:
        for name in ("prompt", "system"):
            if name in found:
                r.error("two-kinds", found.pop(name).place, f"{what} has 'messages' and {name!r}", "write it as one of the messages")
    if "system" in found and "prompt" not in found and "messages" in step.keys:
        each = found.pop("system")
        message = f"'system' of {what} stands beside 'messages' of the step, and cannot take the place of one of them"
        r.error("misplaced-key", each.place, message, "write all messages of the variant: messages: …")
    changed: dict[str, Any] = {}
    if new := _messages(r, found, what):
        kept = () if "messages" in found else tuple(m for m in step.messages if _stays(step, m, found))
        changed["messages"] = tuple(sorted((*kept, *new), key=lambda m: m.role != "system")) if kept else new
    if "params" in found:
        values, keys = params(r, found["params"].value, what)
        changed |= {"params": {**step.params, **values}, "param_keys": {**step.param_keys, **keys}}
    if "model" in found:
        changed["model"] = model_names(r, found["model"].value, what)
    if "examples" in found:
        changed["examples"] = examples(r, found["examples"].value, answer, what)
    keys_: dict[str, Scalar] = {name: each.written for name, each in found.items()}
    return replace(step, **changed, keys={**step.keys, **keys_})


def _stays(step: StepSpec, message: MessageSpec, found: dict[str, Found]) -> bool:
    """Whether a message of `system` and `prompt` stays when a variant has only the other one."""
    if "messages" in step.keys:
        return False
    return not (("system" in found and message.role == "system") or ("prompt" in found and message.role == "user"))
