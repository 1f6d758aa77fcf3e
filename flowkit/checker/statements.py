"""Check a whole text: what it prints, its loops, conditions, macros and includes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jinja2 import nodes

from flowkit.checker.expressions import Expressions
from flowkit.checker.filter_items import item_of
from flowkit.checker.included import Included, Opener
from flowkit.checker.inference import one_of
from flowkit.checker.kinds import Facts, Function, Kind, Loop, MacroKind, Module, Namespace, Row, Rows, StepKind, is_type, join
from flowkit.checker.macros import given_to
from flowkit.checker.narrowing import NOTHING
from flowkit.checker.reports import Reports, Uses, sorts, spell
from flowkit.checker.scope import Binding, Scope, Site, did_you_mean
from flowkit.checker.tree import key_of, length_of, spelled, start_of, string_in
from flowkit.errors import Problems
from flowkit.templates import ReadRefused
from flowkit.types.algebra import ANY, NULL, STRING, List, Type, members, union

#: Includes and macros deeper than this call each other in a circle.
MAX_DEPTH = 20

_SINGLE_BRACES = re.compile(r"(?<![{$])\{\s*((?:inputs|steps|values)\.\w[\w.]*)\s*\}\}?(?!\})")
_UNSUPPORTED: Mapping[type[nodes.Node], tuple[str, str]] = {
    nodes.Extends: ("extends", "use {% include %} or a macro"),
    nodes.Block: ("block", "use {% include %} or a macro"),
}


class Texts(Expressions):
    """Checks the texts and expressions of one step, or of the outputs."""

    def __init__(
        self, problems: Problems, reports: Reports, steps: Mapping[str, StepKind], uses: Uses, me: str | None, path: Path, opener: Opener
    ) -> None:
        super().__init__(problems, reports, steps, uses, me)
        self.path = path
        self.opener = opener
        self._depth = 0
        self._active: list[tuple[int, Site]] = []
        self._called: set[int] = set()

    # -- entry ---------------------------------------------------------------------------------------------

    def text(self, tree: nodes.Template, scope: Scope, facts: Facts) -> None:
        """Check a text template."""
        inner = scope.inner()
        self._body(tree.body, inner, facts)
        for macro in tree.find_all(nodes.Macro):
            if id(macro) not in self._called:
                self._uncalled(macro, inner, facts)

    def expression(self, tree: nodes.Expr, scope: Scope, facts: Facts = NOTHING) -> Type:
        """Return the type of a bare expression."""
        return self.value(tree, scope, facts)

    # -- statements ----------------------------------------------------------------------------------------

    def _body(self, body: Sequence[nodes.Node], scope: Scope, facts: Facts) -> Facts:
        for node in body:
            facts = self._statement(node, scope, facts)
        return facts

    def _statement(self, node: nodes.Node, scope: Scope, facts: Facts) -> Facts:
        match node:
            case nodes.Output():
                self._output(node, scope, facts)
            case nodes.If():
                self._if(node, scope, facts)
            case nodes.For():
                self._for(node, scope, facts)
            case nodes.Assign():
                self._assign(node, scope, facts)
            case nodes.AssignBlock():
                self._body(node.body, scope.inner(), facts)
                self._bind(node.target, STRING, scope, None)
            case nodes.With():
                inner = scope.inner()
                for target, value in zip(node.targets, node.values, strict=True):
                    self._bind(target, self.infer(value, scope, facts), inner, key_of(value, scope))
                self._body(node.body, inner, facts)
            case nodes.Macro():
                scope.bind(node.name, MacroKind(node, scope, self.reports.site))
            case nodes.CallBlock():
                self._call_block(node, scope, facts)
            case nodes.FilterBlock():
                self._body(node.body, scope.inner(), facts)
                self.infer(node.filter, scope, facts)
            case nodes.Include():
                self._include(node, scope, facts)
            case nodes.Import():
                scope.bind(node.target, self._import(node, scope, facts))
            case nodes.FromImport():
                self._from_import(node, scope, facts)
            case nodes.Scope() | nodes.ScopedEvalContextModifier():
                self._body(node.body, scope.inner(), facts)
            case nodes.ExprStmt():
                self.infer(node.node, scope, facts)
            case _ if type(node) in _UNSUPPORTED:
                tag, hint = _UNSUPPORTED[type(node)]
                self.reports.error("template-syntax", node.lineno, len(tag), f"{{% {tag} %}} has no meaning in a flow", hint)
        return facts

    def _output(self, node: nodes.Output, scope: Scope, facts: Facts) -> None:
        for child in node.nodes:
            if not isinstance(child, nodes.TemplateData):
                self.need(child, scope, facts)
                continue
            for found in _SINGLE_BRACES.finditer(child.data):
                start = self.reports.site.text.find(found[0], child.lineno)
                if start >= 0:
                    root, name = found[1].split(".")[:2]
                    if root != "steps":  # it was meant to be read: one mistake, one problem
                        getattr(self.uses, root).add(name)
                    place = self.reports.site.at(start, len(found[0]))
                    self.problems.warning(
                        "single-braces", place, f"{found[0]} is plain text here", f"to insert the value write {{{{ {found[1]} }}}}"
                    )

    def _if(self, node: nodes.If, scope: Scope, facts: Facts) -> None:
        branches: list[dict[str, Kind]] = []
        before = dict(scope.names)
        rest = facts
        for branch in [node, *node.elif_]:
            true, false, _ = self.condition(branch.test, scope, rest)
            branches.append(self._branch(branch.body, scope, true))
            rest = false
        branches.append(self._branch(node.else_, scope, rest))
        # `if` opens no scope in Jinja: what its branches set is set below, or perhaps not.
        for name in dict.fromkeys(n for b in branches for n in b):
            kinds: list[Kind] = []
            for branch_names in branches:
                if name in branch_names:
                    kinds.append(branch_names[name])
                else:
                    found = before.get(name) or (scope.parent.find(name) if scope.parent else None)
                    kinds.append(found.kind if found else NULL)
            kind = kinds[0]
            for other in kinds[1:]:
                kind = join(kind, other)
            scope.bind(name, kind)

    def _branch(self, body: Sequence[nodes.Node], scope: Scope, facts: Facts) -> dict[str, Kind]:
        """Check one branch; return the names that it sets, and undo them."""
        saved = dict(scope.names)
        self._body(body, scope, facts)
        changed = {n: b.kind for n, b in scope.names.items() if saved.get(n) is not b}
        scope.names = saved
        return changed

    def _for(self, node: nodes.For, scope: Scope, facts: Facts) -> None:
        item = self._iterated(node.iter, scope, facts)
        if isinstance(node.target, nodes.Tuple) and is_type(item):
            item = self._pairs(node, item, scope, facts)
        inner = scope.inner()
        self._bind(node.target, item, inner, None)
        within = facts
        if node.test is not None:
            within, _, _ = self.condition(node.test, inner, facts)
        inner.bind("loop", Function("loop") if node.recursive else Loop(item))
        self._body(node.body, inner, within)
        own = (
            {n.name for n in node.target.find_all(nodes.Name)}
            | {"loop"}
            | ({node.target.name} if isinstance(node.target, nodes.Name) else set())
        )
        for name in inner.names:
            if name not in own:
                scope.gone[name] = (
                    f"what is set inside `{{% for %}}` ends with it; use `{{% set ns = namespace({name}='') %}}` before the loop"
                )
            elif name != "loop":
                scope.gone[name] = f"{name!r} exists only between its {{% for %}} and {{% endfor %}}"
        if node.else_:
            self._body(node.else_, scope.inner(), facts)

    def _pairs(self, node: nodes.For, item: Type, scope: Scope, facts: Facts) -> Kind:
        """Report `for key, value in mapping`, which would take the letters of a key apart."""
        of = self.quietly(node.iter, scope, facts)
        if is_type(of) and sorts(of) == {"mapping"}:
            message = f"going through '{spelled(node.iter)}' gives its keys alone"
            self.reports.error(
                "not-a-list", start_of(node.iter), length_of(node.iter), message, f"for pairs write {spelled(node.iter)} | items"
            )
            return ANY
        return item

    def _iterated(self, node: nodes.Node, scope: Scope, facts: Facts) -> Kind:
        kind = self.infer(node, scope, facts)
        if isinstance(kind, Row):
            return one_of(kind)
        if isinstance(kind, Rows):
            return kind.item
        type_ = self.need(node, scope, facts)
        kinds = sorts(type_)
        if kinds is None:
            return ANY
        if kinds and not kinds & {"list", "mapping"}:
            hint = "use `| lines` or `.split(…)`" if kinds == {"text"} else None
            self.reports.error("not-a-list", start_of(node), length_of(node), f"'{spelled(node)}' is {spell(type_)}, not a list", hint)
            return ANY
        found = [item_of(m) for m in members(type_) if sorts(m) != {"text"}]
        return union(*(f for f in found if f is not None)) if found else ANY

    # -- names ---------------------------------------------------------------------------------------------

    def _assign(self, node: nodes.Assign, scope: Scope, facts: Facts) -> None:
        kind = self.infer(node.node, scope, facts)
        if isinstance(kind, StepKind) and isinstance(node.target, nodes.Name):
            scope.bind(node.target.name, kind, key_of(node.node, scope))
            return
        self._bind(node.target, kind, scope, key_of(node.node, scope))

    def _bind(self, target: nodes.Node, kind: Kind, scope: Scope, key: str | None) -> None:
        match target:
            case nodes.Name():
                if target.name in {"inputs", "steps", "values"}:
                    self.reports.error(
                        "reserved-name",
                        target.lineno,
                        len(target.name),
                        f"{target.name!r} cannot be set: it is the flow's own name",
                        "choose another name",
                    )
                    return
                scope.bind(target.name, kind, key)
            case nodes.Tuple():
                items = kind.items if isinstance(kind, Row) else ()
                if isinstance(kind, Row) and len(items) != len(target.items):
                    self.reports.error("comparison", start_of(target.items[0]), 1, f"{len(target.items)} names for {len(items)} values")
                for at, child in enumerate(target.items):
                    self._bind(child, items[at] if at < len(items) else _part(kind), scope, None)
            case nodes.NSRef():
                found = scope.find(target.name)
                if found is None:
                    hint = f"make it first: {{% set {target.name} = namespace({target.attr}=…) %}}"
                    self.reports.error("unknown-name", target.lineno, len(target.name), f"unknown name {target.name!r}", hint)
                if found is not None and isinstance(found.kind, Namespace):
                    found.kind.names.add(target.attr)

    # -- macros --------------------------------------------------------------------------------------------

    def _uncalled(self, macro: nodes.Macro, scope: Scope, facts: Facts) -> None:
        """Check a macro that nobody calls here: its arguments may be anything."""
        self._macro_body(macro, {a.name: (ANY, None) for a in macro.args}, MacroKind(macro, scope, self.reports.site), facts)

    def call_macro(self, node: nodes.Call, macro: MacroKind, scope: Scope, facts: Facts) -> Kind:
        """Check the arguments of a call, then the body of the macro with the types of this call."""
        definition = macro.node
        given = given_to(self, node, definition, scope, facts)
        if given is None:
            return STRING
        self._macro_body(definition, given, macro, facts)
        return STRING

    def _macro_body(
        self, definition: nodes.Macro | nodes.CallBlock, given: Mapping[str, tuple[Kind, str | None]], macro: MacroKind, facts: Facts
    ) -> None:
        self._called.add(id(definition))
        if self._depth >= MAX_DEPTH or any(d == id(definition) for d, _ in self._active):
            return  # a macro that calls itself was checked on the way in
        outer = macro.scope
        assert isinstance(outer, Scope)
        assert isinstance(macro.site, Site)
        inner = outer.inner()
        defaults = dict(
            zip([a.name for a in definition.args][len(definition.args) - len(definition.defaults) :], definition.defaults, strict=True)
        )
        reports, self.reports = self.reports, Reports(self.problems, macro.site, self.reports.who, self.steps)
        self._active.append((id(definition), macro.site))
        self._depth += 1
        for arg in definition.args:
            kind, key = given.get(arg.name, (None, None))
            if kind is None:
                kind = self.infer(defaults[arg.name], inner, facts) if arg.name in defaults else ANY
            inner.bind(arg.name, kind, key)
        for name in ("varargs", "kwargs"):
            inner.bind(name, ANY)
        inner.bind("caller", Function("caller"))
        self._body(definition.body, inner.inner(), facts)
        self._depth -= 1
        self._active.pop()
        self.reports = reports

    def _call_block(self, node: nodes.CallBlock, scope: Scope, facts: Facts) -> None:
        self.infer(node.call, scope, facts)
        inner = scope.inner()
        for arg in node.args:
            inner.bind(arg.name, ANY)
        self._body(node.body, inner, facts)

    # -- other files ---------------------------------------------------------------------------------------

    def _open(self, node: nodes.Include | nodes.Import | nodes.FromImport) -> Included | None:
        template = node.template
        if not isinstance(template, nodes.Const) or not isinstance(template.value, str):
            self.reports.error(
                "dynamic-include",
                start_of(template),
                1,
                "the name of an included file must be a literal text",
                "choose between literal names with {% if %}",
            )
            return None
        start, length = string_in(self.reports.site.text, template)
        try:
            found = self.opener(template.value, self.path)
        except ReadRefused as e:
            message = str(e) if template.value in str(e) else f"{template.value!r}: {e}"
            if getattr(node, "ignore_missing", False) and not e.escapes:
                return None
            self.reports.error("path-escape" if e.escapes else "file-not-found", start, length, message, e.hint)
            return None
        if self._depth >= MAX_DEPTH or any(site is found.site for _, site in self._active if _ == 0):
            self.reports.error("include-cycle", start, length, f"{template.value!r} includes itself")
            return None
        return found

    def _include(self, node: nodes.Include, scope: Scope, facts: Facts) -> None:
        found = self._open(node)
        if found is None or found.tree is None:
            return
        with_context = scope if node.with_context else Scope(_globals(scope))
        self._elsewhere(found, lambda: self._body(found.tree.body if found.tree else [], with_context.inner(), facts))

    def _elsewhere(self, found: Included, check: Callable[[], object]) -> None:
        """Check something that stands in another file."""
        saved = self.reports, self.path
        self.reports, self.path = Reports(self.problems, found.site, self.reports.who, self.steps), found.path
        self._active.append((0, found.site))
        self._depth += 1
        check()
        self._depth -= 1
        self._active.pop()
        self.reports, self.path = saved

    def _module(self, found: Included, scope: Scope, facts: Facts, *, with_context: bool) -> Scope:
        """Return the names that an imported file defines."""
        outer = Scope(parent=scope if with_context else Scope(_globals(scope)))
        if found.tree is not None:
            tree = found.tree
            self._elsewhere(found, lambda: self._body([n for n in tree.body if not isinstance(n, nodes.Output)], outer, facts))
        return outer

    def _import(self, node: nodes.Import, scope: Scope, facts: Facts) -> Kind:
        found = self._open(node)
        if found is None:
            return ANY
        return Module({n: b.kind for n, b in self._module(found, scope, facts, with_context=node.with_context).names.items()})

    def _from_import(self, node: nodes.FromImport, scope: Scope, facts: Facts) -> None:
        found = self._open(node)
        module = self._module(found, scope, facts, with_context=node.with_context) if found is not None else None
        for entry in node.names:
            name, alias = entry if isinstance(entry, tuple) else (entry, entry)
            kind: Kind = ANY
            if module is not None and found is not None and found.tree is not None:
                if name in module.names:
                    kind = module.names[name].kind
                else:
                    at = re.compile(rf"\b{re.escape(name)}\b").search(
                        self.reports.site.text, start_of(node.template) + len(str(getattr(node.template, "value", "")))
                    )
                    start = at.start() if at else node.lineno
                    file = getattr(node.template, "value", "")
                    self.reports.error(
                        "unknown-macro",
                        start,
                        len(name),
                        f"{file!r} has no macro {name!r}",
                        did_you_mean(name, list(module.names), "it has"),
                    )
                    for meant in module.names:  # where it is called by its right name, nothing more is wrong
                        if scope.find(meant) is None:
                            scope.bind(meant, ANY)
            scope.bind(alias, kind)


def _part(kind: Kind) -> Kind:
    """Return what one of several targets gets of a value that is no row."""
    return kind.item if isinstance(kind, (List, Rows)) else ANY


def _globals(scope: Scope) -> dict[str, Binding]:
    root = scope
    while root.parent is not None:
        root = root.parent
    return {n: b for n, b in root.names.items() if isinstance(b.kind, Function)}
