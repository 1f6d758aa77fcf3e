"""Parse templates and expressions into Jinja's tree with exact positions. Runs nothing.

Jinja's nodes know only a line. Here every token carries its offset in the text where Jinja expects a line, so that each node's
`lineno` is the offset of the token that made it: of a name its first letter, of `a.b` the dot, of a filter its name.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import TokenStream
from jinja2.parser import Parser

#: Deeper expressions overflow the stack of Jinja's own compiler.
MAX_DEPTH = 150


class SyntaxProblem(Exception):
    """A template that Jinja cannot read: what is wrong, and from where to where in its text."""

    def __init__(self, message: str, start: int, end: int, code: str = "template-syntax") -> None:
        super().__init__(message)
        self.message = message
        self.start = start
        self.end = end
        self.code = code


class _Offsets(Environment):
    """Lexes without trimming, so that no position is lost, and puts offsets in the place of lines."""

    def _tokenize(self, source: str, name: str | None, filename: str | None = None, state: str | None = None) -> TokenStream:
        return TokenStream(self.lexer.wrap(self._tokens(source, state), name, filename), name, filename)

    def _tokens(self, source: str, state: str | None) -> Iterator[tuple[int, str, str]]:
        # Jinja reads each kind of line end as `\n`; where that was two characters, what follows lies one further in the source.
        read = re.sub(r"\r\n?", "\n", source)
        pairs = [pair.start() - n for n, pair in enumerate(re.finditer(r"\r\n", source))]
        at = 0
        try:
            for _, token, value in self.lexer.tokeniter(source, None, None, state):
                # What `-` strips is white space only and never yielded, so the next occurrence is the right one.
                at = read.index(value, at) if value else at
                yield at + bisect_left(pairs, at), token, value
                at += len(value)
        except TemplateSyntaxError as e:
            found = re.search(r" at (\d+)$", e.message or "")
            where = int(found[1]) if found else min(at + len(read[at:]) - len(read[at:].lstrip()), len(read))
            message = re.sub(r" at \d+$", "", e.message or "syntax error")
            raise TemplateSyntaxError(message, where + bisect_left(pairs, where)) from e


class _Parser(Parser):
    """Remembers which block tags are open, to point at the one that is never closed."""

    def __init__(self, environment: Environment, source: str, state: str | None = None) -> None:
        self.open: list[tuple[str, int]] = []
        super().__init__(environment, source, state=state)

    def parse_statement(self) -> nodes.Node | list[nodes.Node]:
        token = self.stream.current
        self.open.append((token.value, token.lineno))
        found = super().parse_statement()
        self.open.pop()
        return found


_ENVIRONMENT = _Offsets(keep_trailing_newline=True, optimized=False)


def parse_template(source: str) -> nodes.Template:
    """Return the tree of a text template; `lineno` of each node is an offset. Raises SyntaxProblem."""
    found: nodes.Template = _parsed(source, None)
    return found


def parse_expression(source: str) -> nodes.Expr:
    """Return the tree of a bare expression; `lineno` of each node is an offset. Raises SyntaxProblem."""
    found: nodes.Expr = _parsed(source, "variable")
    return found


def _parsed(source: str, state: str | None) -> Any:
    parser: _Parser | None = None
    try:
        parser = _Parser(_ENVIRONMENT, source, state)
        if state is None:
            tree: nodes.Node = parser.parse()
        else:
            tree = parser.parse_expression()
            if not parser.stream.eos:
                token = parser.stream.current
                raise SyntaxProblem(
                    f"unexpected {_token(source, token.lineno)!r} after the expression", token.lineno, _end(source, token.lineno)
                )
    except TemplateSyntaxError as e:
        raise _problem(e, source, parser) from e
    except RecursionError as e:
        raise SyntaxProblem(f"an expression is nested deeper than {MAX_DEPTH} levels", 0, len(source), "template-limit") from e
    _check_depth(tree, source)
    return tree


def _problem(error: TemplateSyntaxError, source: str, parser: _Parser | None) -> SyntaxProblem:
    message = error.message or "syntax error"
    if message.startswith("Unexpected end of template") and parser is not None and parser.open:
        tag, start = parser.open[-1]
        return SyntaxProblem(f"{{% {tag} %}} is never closed; {{% end{tag} %}} is missing", start, start + len(tag))
    start = min(error.lineno, len(source))
    unknown = re.match(r"Encountered unknown tag '(\w+)'\.", message)
    if unknown:
        tag = unknown[1]
        lost = tag in {"else", "elif"}
        what = (
            f"{{% {tag} %}} belongs to no {{% if %}} here"
            if lost
            else f"{{% {tag} %}} closes nothing here"
            if tag.startswith("end")
            else f"{{% {tag} %}} is no tag of templates"
        )
        return SyntaxProblem(what, start, start + len(tag))
    message = message.rstrip(".").replace("statement block", "block")
    return SyntaxProblem(message[:1].lower() + message[1:], start, _end(source, start))


def _token(source: str, start: int) -> str:
    return source[start : _end(source, start)]


def _end(source: str, start: int) -> int:
    """Return where the word or sign that starts there ends."""
    found = re.compile(r"\w+|\S|$").match(source, start)
    return max(found.end() if found else start, min(start + 1, len(source)))


def _check_depth(tree: nodes.Node, source: str) -> None:
    pending = [(tree, 0)]
    while pending:
        node, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise SyntaxProblem(
                f"an expression is nested deeper than {MAX_DEPTH} levels", node.lineno, _end(source, node.lineno), "template-limit"
            )
        pending.extend((child, depth + 1) for child in node.iter_child_nodes())
