"""The Jinja environment of flowkit: plain data only, keys before anything else, and a bound on all that a template can make.

What each override guards against is listed in docs/decisions.md; the hostile templates of tests/corpus/jinja hold it to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, TemplateNotFound, nodes
from jinja2.exceptions import SecurityError
from jinja2.parser import Parser
from jinja2.runtime import Context, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.utils import Namespace, pass_context
from jinja2.visitor import NodeTransformer

from flowkit.templates.data import MAX_ITEMS, MAX_TEXT, Absent, LimitExceeded, NotText, Unknown, describe, text_of
from flowkit.templates.filters import FILTERS, TESTS, bounded, concat

#: Rounds of all loops of one render together.
MAX_ROUNDS = 1_000_000
#: Bits of the largest whole number that arithmetic may make.
MAX_BITS = 4096

#: The methods of text that are pure, cheap and return plain data.
TEXT_METHODS = frozenset(
    (
        "capitalize casefold count endswith find index isalnum isalpha isascii isdecimal isdigit islower isnumeric "
        "isspace isupper lower lstrip partition removeprefix removesuffix rfind rpartition rsplit rstrip split "
        "splitlines startswith strip title upper"
    ).split()
)
LIST_METHODS = frozenset({"count", "index"})
LOOP_NAMES = frozenset("index index0 revindex revindex0 first last length previtem nextitem cycle changed depth depth0".split())

_rounds: ContextVar[list[int]] = ContextVar("rounds of the loops of this render")

#: Reads a file that a template includes: (name as written, the file that names it) → (path, text). Raises ReadRefused.
Reader = Callable[[str, Path], tuple[Path, str]]


class ReadRefused(Exception):
    """An included file may not be read or is not there; `escapes` where it lies outside what may be read."""

    def __init__(self, message: str, hint: str | None = None, *, escapes: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.escapes = escapes


class Method:
    """A method of a text or list that a template may call; it has no text itself."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)


@pass_context
def _each(_context: Context, value: Any) -> Iterator[Any]:
    """Yield the items of a loop, each against the budget of the render. The compiler puts this into every `for`."""
    if isinstance(value, Undefined) or value is None:
        raise NotText(f"{describe(value)}, so there is nothing to go through")
    if isinstance(value, str):
        raise NotText("a text cannot be gone through item by item; use the filter `lines` or `list`")
    return _spend(value)


def _spend(value: Iterable[Any]) -> Iterator[Any]:
    left = _rounds.get()
    for item in value:
        left[0] -= 1
        if left[0] < 0:
            raise LimitExceeded(f"more than {MAX_ROUNDS:,} rounds of loops in one text")
        yield item


class _Rewrite(NodeTransformer):
    """Give `~` the texts of flowkit instead of Python's, and every loop its budget."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return nodes.Filter(nodes.List(node.nodes, lineno=node.lineno), "__concat", [], [], None, None, lineno=node.lineno)

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, "__each", [], [], None, None, lineno=node.lineno)
        return node


@pass_context
def _finalize(_context: Context, value: Any) -> str:
    # pass_context keeps Jinja from running constant expressions at compile time: `{{ 'a' * 10**9 }}` must stay source.
    return text_of(value)


class _Files(BaseLoader):
    """Finds included files through the reader that the environment was given."""

    def __init__(self, read: Reader) -> None:
        self._read = read

    def get_source(self, environment: Any, template: str) -> tuple[str, str | None, Callable[[], bool] | None]:
        try:
            path, text = self._read(Path(template).name, Path(template))
        except ReadRefused as e:
            raise TemplateNotFound(template, str(e)) from e
        return text, str(path), lambda: True


class Sandbox(ImmutableSandboxedEnvironment):
    """Compiles and runs templates of flow files over plain data."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, read: Reader) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=Unknown,
            finalize=_finalize,
            autoescape=False,
            optimized=False,
            auto_reload=False,
            loader=_Files(read),
            cache_size=400,
        )
        self._read = read
        self.filters = {**FILTERS, "__concat": concat, "__each": _each}
        self.tests = dict(TESTS)
        self.globals = {"range": safe_range, "dict": dict, "namespace": Namespace}
        self.policies["json.dumps_kwargs"] = {}

    # -- source to code ------------------------------------------------------------------------------------

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Rewrite().visit(super()._parse(source, name, filename))
        return tree

    def expression(self, source: str) -> nodes.Template:
        """Return a tree that leaves the value of a bare expression in the variable `result`."""
        parser = Parser(self, source, state="variable")
        body = parser.parse_expression()
        if not parser.stream.eos:
            parser.fail("this is more than one expression")
        body.set_environment(self)
        tree = nodes.Template([nodes.Assign(nodes.Name("result", "store"), body, lineno=1)], lineno=1)
        rewritten: nodes.Template = _Rewrite().visit(tree)
        return rewritten

    def join_path(self, template: str, parent: str) -> str:
        try:
            path, _ = self._read(template, Path(parent))
        except ReadRefused as e:
            raise TemplateNotFound(template, str(e)) from e
        return str(path)

    # -- what templates may reach --------------------------------------------------------------------------

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping):
            value = obj.get(attribute)
            return Absent(obj=obj, name=attribute) if value is None else value
        if obj is None or isinstance(obj, Absent):
            return Absent(obj=obj, name=attribute)
        if isinstance(obj, Undefined):
            return obj._fail_with_undefined_error()
        if isinstance(obj, str) and attribute in TEXT_METHODS:
            return Method(getattr(obj, attribute))
        if isinstance(obj, str) and attribute == "replace":
            return Method(lambda old, new, count=None: FILTERS["replace"](obj, old, new, count))
        if isinstance(obj, list) and attribute in LIST_METHODS:
            return Method(getattr(obj, attribute))
        if isinstance(obj, LoopContext) and attribute in LOOP_NAMES:
            return getattr(obj, attribute)
        if isinstance(obj, Namespace) and not attribute.startswith("_"):
            value = getattr(obj, attribute, Unknown(hint=f"{attribute!r} is not set in this namespace"))
            return Absent(hint=f"{attribute!r} of the namespace is absent") if value is None else value
        if not attribute.startswith("_") and type(obj).__name__ == "TemplateModule":
            return getattr(obj, attribute, Unknown(obj=obj, name=attribute))
        return Unknown(hint=f"{attribute!r} is not a field of {describe(obj)}")

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, (list, tuple, str, range)) and isinstance(argument, int) and not isinstance(argument, bool):
            try:
                value = obj[argument]
            except IndexError:
                return Absent(hint=f"there is no item {argument} in a list of {len(obj)}")
            return Absent(hint=f"item {argument} is absent") if value is None else value
        if isinstance(argument, str):
            if isinstance(obj, (list, tuple, str)):
                return Unknown(hint=f"{argument!r} is not a field of {describe(obj)}")
            return self.getattr(obj, argument)
        if isinstance(obj, Mapping):
            return Absent(obj=obj, name=argument)
        if obj is None or isinstance(obj, Absent):
            return Absent(hint=f"item {argument!r} of an absent value is absent")
        if isinstance(obj, Undefined):
            return obj._fail_with_undefined_error()
        return Unknown(hint=f"{describe(obj)} has no items")

    def is_safe_callable(self, obj: Any) -> bool:
        if isinstance(obj, (Macro, Method, LoopContext)) or obj in (safe_range, dict, Namespace):
            return True
        return isinstance(getattr(obj, "__self__", None), LoopContext)

    def call(self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(__obj, Undefined):
            raise NotText(f"{describe(__obj)}, so it cannot be called")
        if not self.is_safe_callable(__obj):
            raise SecurityError(f"{describe(__obj)} cannot be called")
        return __context.call(__obj, *args, **kwargs)

    # -- what arithmetic may make --------------------------------------------------------------------------

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if isinstance(left, Undefined) or isinstance(right, Undefined) or left is None or right is None:
            raise NotText(f"{describe(left if isinstance(left, Undefined) or left is None else right)}, so `{operator}` cannot be done")
        if operator == "*":
            for many, times in ((left, right), (right, left)):
                if isinstance(many, (str, list, tuple)) and isinstance(times, int):
                    bounded(len(many) * times, "a text or list", MAX_ITEMS)
            if isinstance(left, int) and isinstance(right, int):
                bounded(left.bit_length() + right.bit_length(), "a number with bits", MAX_BITS)
        elif operator == "**":
            if isinstance(left, int) and isinstance(right, int):
                bounded(max(left.bit_length(), 1) * abs(right), "a number with bits", MAX_BITS)
        elif operator == "+" and isinstance(left, (str, list, tuple)) and isinstance(right, (str, list, tuple)):
            bounded(len(left) + len(right), "a text or list", MAX_TEXT if isinstance(left, str) else MAX_ITEMS)
        elif operator == "%" and isinstance(left, str):
            raise NotText("`%` on a text is not arithmetic; use the filter `format`")
        return super().call_binop(context, operator, left, right)


def budget() -> None:
    """Start the budget of one render."""
    _rounds.set([MAX_ROUNDS])
