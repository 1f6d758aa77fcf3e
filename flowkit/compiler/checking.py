"""Check texts and expressions against what they see, and make them runnable. Knows no kind of step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from jinja2 import nodes

from flowkit.checker.kinds import Condition, Facts, Function, Kind, StepKind, Steps
from flowkit.checker.narrowing import NOTHING
from flowkit.checker.paths import causes_left
from flowkit.checker.reports import Reports, Uses
from flowkit.checker.scope import Scope, Site, did_you_mean
from flowkit.checker.statements import Texts
from flowkit.checker.tree import key_of, spelled
from flowkit.compiler.session import Session, expressions
from flowkit.config import UnknownModel
from flowkit.errors import ConfigError, Place
from flowkit.plan import (
    Computed,
    Fixed,
    ListValue,
    MapValue,
    TextOf,
    ValueOf,
)
from flowkit.source import Scalar
from flowkit.spec import Expr, Expression, FlowSpec, ListOf, Literal_, MapOf, Text
from flowkit.spelling import nearest
from flowkit.types.algebra import (
    ANY,
    MISSING,
    NULL,
    AnyType,
    Const,
    Enum,
    Field,
    List,
    Record,
    Type,
    may_be_absent,
    nullable,
    present,
    union,
)
from flowkit.types.fit import fits

#: Names that templates always have.
_FUNCTIONS = {name: Function(name) for name in ("range", "dict", "namespace")}
#: Warned of once: a text that is nothing but a path probably wants braces.
_ROOTS = ("inputs.", "steps.", "values.")


@dataclass(slots=True)
class FlowScope:
    """What the steps of one file share."""

    session: Session
    spec: FlowSpec
    uses: Uses
    #: Steps that are known, by id; those above a step are complete when it is checked.
    steps: dict[str, StepKind] = field(default_factory=dict)
    _models: set[str] = field(default_factory=set)

    def check_model(self, name: Scalar) -> None:
        """Report a model that nobody defines."""
        models = self.session.models
        if models is None or name.text in self._models:
            return
        self._models.add(name.text)
        try:
            models.resolve(name.text, self.spec.models, {})
        except UnknownModel as e:
            if "/" not in name.text and not self.spec.models and not models.aliases:
                # A bare name where no alias exists anywhere may be one that `-m` or another machine's flowkit.toml defines.
                self.session.problems.warning("unknown-model", name.place(), e.message, e.hint)
            else:
                self.session.problems.error("unknown-model", name.place(), e.message, e.hint)
        except ConfigError as e:
            self.session.problems.error("model-settings", name.place(), str(e))

    def names(self) -> Scope:
        """Return the names that every text of the file sees."""
        root = Scope()
        for name, function in _FUNCTIONS.items():
            root.bind(name, function, name)
        values = Record(tuple(Field(v.name, v.type) for v in self.spec.values.values()), name="values")
        root.bind("inputs", _given(self.spec.inputs), "inputs")
        root.bind("values", values, "values")
        root.bind("steps", Steps(), "steps")
        return root


def _given(inputs: Record) -> Record:
    """Return the inputs as steps see them: a default stands in for what is left out."""
    return replace(inputs, name="inputs")


class Checking:
    """Checks the texts and expressions of one step, or of the outputs, and makes them runnable."""

    def __init__(self, flow: FlowScope, who: str, me: str | None) -> None:
        self.flow = flow
        self.session = flow.session
        self.problems = flow.session.problems
        self.me = me
        self.who = who
        self.path = flow.spec.path
        self.scope = flow.names()
        self.facts: Facts = NOTHING

    def texts_of(self, node: Scalar, text: str, *, expression: bool = True) -> Texts:
        """Return what checks one text or expression."""
        reports = Reports(self.problems, Site(text, node.place), self.who, self.flow.steps, expression)
        return Texts(self.problems, reports, self.flow.steps, self.flow.uses, self.me, self.path, self.session.open)

    # -- texts ---------------------------------------------------------------------------------------------

    def text(self, text: Text, extra: Mapping[str, Kind] | None = None) -> TextOf:
        """Check a template and return it to be rendered."""
        tree = self.session.tree(text)
        if tree is not None:
            self.texts_of(text.node, text.value, expression=False).text(tree, self._with(extra), self.facts)
        bare = text.value.strip()
        if bare.startswith(_ROOTS) and bare.replace(".", "").replace("_", "").isalnum() and self._exists(bare):
            root, name = bare.split(".")[:2]
            if root != "steps":  # it was meant to be read: one mistake, one problem
                getattr(self.flow.uses, root).add(name)
            self.problems.warning(
                "bare-reference",
                text.node.place(),
                f"this text is the words {bare!r}, not the value",
                f'to insert the value write "{{{{ {bare} }}}}"',
            )
        return TextOf(self.session.templates.text(text.value, self.path), text.node)

    def _exists(self, path: str) -> bool:
        root, _, rest = path.partition(".")
        name = rest.split(".")[0]
        if root == "steps":
            return name in self.flow.steps
        known = self.flow.spec.inputs.names() if root == "inputs" else list(self.flow.spec.values)
        return name in known

    def _with(self, extra: Mapping[str, Kind] | None) -> Scope:
        scope = self.scope.inner()
        for name, kind in (extra or {}).items():
            scope.bind(name, kind)
        return scope

    # -- expressions ---------------------------------------------------------------------------------------

    def type_of(self, expr: Expr, extra: Mapping[str, Kind] | None = None) -> Type:
        """Return the type of a value of an expression key."""
        match expr:
            case Expression():
                tree = self.session.expression(expr)
                return ANY if tree is None else self.texts_of(expr.node, expr.text).expression(tree, self._with(extra), self.facts)
            case Literal_():
                return NULL if expr.value is None else Const(expr.value)
            case ListOf():
                items = [self.type_of(i, extra) for i in expr.items]
                return List(union(*items)) if items else List(ANY)
        return Record(tuple(Field(name, self.type_of(item, extra)) for name, item in expr.items.items()))

    def condition(self, expr: Expr, extra: Mapping[str, Kind] | None = None) -> tuple[Facts, Facts, Condition | None]:
        """Check a condition; return what holds where it is true, what where it is false, and the condition itself."""
        if not isinstance(expr, Expression):
            self.type_of(expr, extra)
            return self.facts, NOTHING, None
        tree = self.session.expression(expr)
        if tree is None:
            return self.facts, NOTHING, None
        scope = self._with(extra)
        texts = self.texts_of(expr.node, expr.text)
        true, false, _ = texts.condition(tree, scope, self.facts)
        words = {}
        for compared in [tree, *tree.find_all(nodes.Compare)]:
            if isinstance(compared, nodes.Compare) and (key := key_of(compared.expr, scope)) is not None:
                type_ = texts.quietly(compared.expr, scope, true)
                if isinstance(type_, Enum):
                    words[key] = frozenset(type_.words)
        return true, false - self.facts, Condition(tree, scope, words)

    def computed(self, expr: Expr) -> Computed:
        """Return an expression to be evaluated."""
        match expr:
            case Expression():
                return ValueOf(self.session.templates.value(expr.text, self.path), expr.node)
            case Literal_():
                return Fixed(expr.value)
            case ListOf():
                return ListValue(tuple(self.computed(i) for i in expr.items))
        return MapValue({name: self.computed(item) for name, item in expr.items.items()})

    def handled(self, expr: Expr, type_: Type) -> None:
        """Report an expression that is nothing but the answer of a step that may be skipped."""
        for e in expressions(expr):
            tree = self.session.expression(e)
            if isinstance(tree, (nodes.Getattr, nodes.Getitem)) and _root(tree) == "steps":
                texts = self.texts_of(e.node, e.text)
                own = texts.quietly(tree, self.scope, self.facts)
                step = self.flow.steps.get(_step_of(tree) or "")
                if step is not None and causes_left(step, self.facts) and not isinstance(own, AnyType):
                    texts.need(tree, self.scope, self.facts)

    def fit(self, expr: Expr, source: Type, target: Type, what: str, place: Place) -> None:
        """Report that a value does not fit what takes it."""
        if isinstance(expr, MapOf) and isinstance(target, Record) and isinstance(source, Record):
            self._fit_fields(expr, source, target, what)
            return
        reason = fits(source, target)
        if reason is not None and not self._absence(expr, source, target):
            self.problems.error("type-mismatch", place, f"{what}: {reason}")

    def _absence(self, expr: Expr, source: Type, target: Type) -> bool:
        """Report an expression that fits but for its absence, where that comes from."""
        if not isinstance(expr, Expression) or not may_be_absent(source) or source == NULL or fits(present(source), target) is not None:
            return False
        tree = self.session.expression(expr)
        if tree is None or isinstance(tree, nodes.Const):
            return False
        return self.texts_of(expr.node, expr.text).need(tree, self.scope, self.facts) is not None

    def _fit_fields(self, expr: MapOf, source: Record, target: Record, what: str) -> None:
        for name, item in expr.items.items():
            field_ = target.get(name)
            given = source.get(name)
            if field_ is None:
                self.problems.error(
                    "unknown-argument", expr.keys[name].place(), f"{what} takes no {name!r}", did_you_mean(name, target.names(), "it takes")
                )
                continue
            held = given.type if given else ANY
            wanted = nullable(field_.type) if not required(field_) else field_.type
            reason = fits(held, wanted)
            if reason is not None and not self._absence(item, held, wanted):
                # Said without the absence that the field would take too.
                reason = fits(held, field_.type if isinstance(held, Const) else wanted) or reason
                self.problems.error("type-mismatch", place_of(item), f"{name!r} of {what}: {reason}")
        strange = [name for name in expr.items if target.get(name) is None]
        # A misspelt name is one mistake: what it was meant for is not missing too.
        missing = [f.name for f in target.fields if required(f) and f.name not in expr.items and not nearest(f.name, strange)]
        if missing:
            self.problems.error("missing-argument", place_of(expr), f"{what} needs {listed(missing)}")


def _root(node: nodes.Node) -> str:
    while isinstance(node, (nodes.Getattr, nodes.Getitem)):
        node = node.node
    return node.name if isinstance(node, nodes.Name) else ""


def _step_of(node: nodes.Node) -> str | None:
    return spelled(node).split(".")[1] if "." in spelled(node) else None


def place_of(expr: Expr) -> Place:
    """Return where an expression stands."""
    return expr.node.place()


def listed(names: list[str]) -> str:
    """Return names in quotes, for a message."""
    return ", ".join(map(repr, names))


def required(field_: Field) -> bool:
    """Tell whether a field must be given."""
    return not field_.optional and field_.default is MISSING
