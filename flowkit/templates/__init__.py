"""Templates and expressions of a flow file: text and values in, text or plain data out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateError, TemplateSyntaxError, nodes

from flowkit.templates.data import MAX_TEXT, LimitExceeded, NotText, plain, text_of, to_json
from flowkit.templates.sandbox import Reader, ReadRefused, Sandbox, budget

__all__ = ["Compiled", "ReadRefused", "Reader", "RenderFailed", "Templates", "Value", "plain", "text_of", "to_json"]

#: What running a template can raise besides Jinja's own errors: the operations of its expressions on values that do not suit.
_FAULTS = (TemplateError, NotText, LimitExceeded, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)


class RenderFailed(Exception):
    """A template could not be rendered; `line` is its own line, from 1, or None."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


def _failed(error: BaseException) -> RenderFailed:
    if isinstance(error, RecursionError):
        return RenderFailed("macros or loops call themselves without end", _line(error.__traceback__))
    if isinstance(error, TemplateSyntaxError):
        return RenderFailed(error.message or "syntax error", error.lineno)
    return RenderFailed(str(error) or type(error).__name__, _line(error.__traceback__))


def _line(traceback: TracebackType | None) -> int | None:
    """Return the line of the template whose compiled code is innermost in a traceback."""
    line = None
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, JinjaTemplate):
            line = template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return line


class _Source:
    """A template or expression of a file; compiled when first run."""

    __slots__ = ("_name", "_sandbox", "_source", "_template")

    def __init__(self, sandbox: Sandbox, source: str, name: str) -> None:
        self._sandbox = sandbox
        self._source = source
        self._name = name
        self._template: JinjaTemplate | None = None

    def _parsed(self) -> str | nodes.Template:
        """Return what Jinja compiles."""
        return self._source

    def _compiled(self) -> JinjaTemplate:
        if self._template is None:
            # The name is a path, because included files are found beside the file that names them.
            code = self._sandbox.compile(self._parsed(), self._name, self._name)
            self._template = self._sandbox.template_class.from_code(self._sandbox, code, self._sandbox.make_globals(None))
        return self._template


class Compiled(_Source):
    """A text template."""

    __slots__ = ()

    def render(self, names: Mapping[str, Any]) -> str:
        """Return the text over the given names, all plain data. Raises RenderFailed."""
        budget()
        try:
            template = self._compiled()
            pieces, size = [], 0
            for piece in template.root_render_func(template.new_context(dict(names))):
                size += len(piece)
                if size > MAX_TEXT:
                    raise LimitExceeded(f"the text is longer than {MAX_TEXT:,} characters")
                pieces.append(piece)
            text = "".join(pieces)
            if not text.isascii():
                text.encode()  # a lone surrogate must fail here, not in the request
        except _FAULTS as e:
            raise _failed(e) from e
        return text


class Value(_Source):
    """A bare expression."""

    __slots__ = ()

    def _parsed(self) -> nodes.Template:
        return self._sandbox.expression(self._source)

    def of(self, names: Mapping[str, Any]) -> Any:
        """Return the value as plain data, None where absent. Raises RenderFailed."""
        budget()
        try:
            template = self._compiled()
            context = template.new_context(dict(names))
            for _ in template.root_render_func(context):
                pass
            return plain(context.vars["result"])
        except _FAULTS as e:
            raise _failed(e) from e


class Templates:
    """Makes templates and expressions of one project; included files come through `read`."""

    def __init__(self, read: Reader) -> None:
        self._sandbox = Sandbox(read)

    def text(self, source: str, beside: Path) -> Compiled:
        """Return a template as written in the file `beside`."""
        return Compiled(self._sandbox, source, str(beside))

    def value(self, source: str, beside: Path) -> Value:
        """Return an expression as written in the file `beside`."""
        return Value(self._sandbox, source, str(beside))
