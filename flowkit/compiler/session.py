"""What one compilation shares between its files: problems, parsed texts, included files, templates."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import nodes

from flowkit import functions, project
from flowkit.checker.included import Included, included
from flowkit.checker.tree import steps_read
from flowkit.errors import Problems
from flowkit.plan import ModelNames
from flowkit.project import PathRefused, Project
from flowkit.source import Scalar
from flowkit.spec import Expr, Expression, ListOf, MapOf, Text
from flowkit.templates import ReadRefused, Templates
from flowkit.templates.syntax import SyntaxProblem, parse_expression, parse_template

#: Deepest nesting of sub-flows.
MAX_DEPTH = 20


@dataclass(slots=True)
class Session:
    """One compilation: of a flow and of all that it names."""

    project: Project
    cwd: Path
    problems: Problems
    models: ModelNames | None
    #: Files that were read, for --watch and fingerprints.
    files: dict[Path, None] = field(default_factory=dict)
    templates: Templates = field(init=False)
    _included: dict[Path, Included] = field(default_factory=dict)
    _trees: dict[tuple[int, str], nodes.Node | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.templates = Templates(self._read)

    # -- files ---------------------------------------------------------------------------------------------

    def shown(self, path: Path) -> str:
        """Return a path as people see it."""
        return project.shown(path, self.cwd)

    def _read(self, name: str, beside: Path) -> tuple[Path, str]:
        """Read a file that a template includes; the seam that Jinja's loader uses too."""
        try:
            path = (
                Path(name)
                if Path(name).is_absolute() and Path(name) in self._included
                else project.resolve(name, beside=beside, root=self.project.root)
            )
            found = self._included.get(path)
            text = found.text if found else project.read_text(path).replace("\r\n", "\n")
        except PathRefused as e:
            raise ReadRefused(e.message, e.hint, escapes=e.reason == "escape") from e
        self.files[path] = None
        return path, text

    def open(self, name: str, beside: Path) -> Included:
        """Return an included file, parsed once. Raises ReadRefused."""
        path, text = self._read(name, beside)
        if path not in self._included:
            self._included[path] = included(path, text, self.shown(path), self.problems)
        return self._included[path]

    def load(self, reference: str, beside: Path) -> Any:
        """Return a Python object that a flow names. Raises LoadFailed."""
        if (file := functions.find(reference, beside=beside, root=self.project.root)) is not None:
            self.files[file] = None
        return functions.load(reference, beside=beside, root=self.project.root)

    # -- texts ---------------------------------------------------------------------------------------------

    def tree(self, text: Text) -> nodes.Template | None:
        """Return the tree of a text, None after a problem."""
        found = self._parsed(text.node, text.value, "text")
        return found if isinstance(found, nodes.Template) else None

    def expression(self, expression: Expression) -> nodes.Expr | None:
        """Return the tree of an expression, None after a problem."""
        found = self._parsed(expression.node, expression.text, "expression")
        return found if isinstance(found, nodes.Expr) else None

    def _parsed(self, node: Scalar, text: str, kind: str) -> nodes.Node | None:
        key = (id(node), kind)
        if key not in self._trees:
            try:
                self._trees[key] = parse_template(text) if kind == "text" else parse_expression(text)
            except SyntaxProblem as e:
                hint = _hint(text, e) or (_as_text(text) if kind == "expression" else None)
                self.problems.error(e.code, node.place(e.start, max(e.end, e.start + 1)), e.message, hint)
                self._trees[key] = None
        return self._trees[key]

    def reads(self, texts: list[Text], exprs: list[Expr], beside: Path) -> dict[str, None]:
        """Return the ids of the steps that some texts and expressions read, included files too."""
        found: dict[str, None] = {}
        trees: list[tuple[nodes.Node, Path]] = [(t, beside) for text in texts if (t := self.tree(text)) is not None]
        trees += [(x, beside) for e in exprs for expression in expressions(e) if (x := self.expression(expression)) is not None]
        seen: set[int] = set()
        while trees:
            tree, path = trees.pop()
            if id(tree) in seen:
                continue
            seen.add(id(tree))
            found.update(dict.fromkeys(steps_read(tree)))
            for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport)):
                assert isinstance(node, (nodes.Include, nodes.Import, nodes.FromImport))
                if isinstance(node.template, nodes.Const) and isinstance(node.template.value, str):
                    try:
                        inner = self.open(node.template.value, path)
                    except ReadRefused:
                        continue  # reported where the text is checked
                    if inner.tree is not None:
                        trees.append((inner.tree, inner.path))
        return found


#: Signs of other languages near a syntax error, and what to write instead.
_OTHER_SIGNS = (
    (re.compile(r"&&?"), "write `and`"),
    (re.compile(r"\|\|"), "write `or`"),
    (re.compile(r"!(?!=)"), "write `not`"),
    (re.compile(r"\?"), "write a if condition else b"),
    (re.compile(r"===?"), "compare with =="),
    (re.compile(r"=(?!=)"), "compare with =="),
    (re.compile(r"<>"), "compare with !="),
)
_WORDS = re.compile(r"[\w\s.,;:!?-]+")
_ELSE_IF = re.compile(r"else\s*if\b|elseif\b|elsif\b")


def _hint(text: str, problem: SyntaxProblem) -> str | None:
    if "{%" in text and "%}" not in text:
        return "a block ends with %}"
    before = text[: problem.start]
    if _ELSE_IF.search(text, max(before.rfind("{%"), 0), problem.end):
        return "write {% elif … %}"
    if text.startswith("}", problem.start) and not text.startswith("}}", problem.start) and before.rfind("{{") > before.rfind("}}"):
        return "a value ends with two braces: }}"
    for sign, hint in _OTHER_SIGNS:
        # Jinja may see the mistake one sign later: in `a || b` it reads the second bar.
        if sign.match(text, problem.start) or sign.match(text, max(problem.start - 1, 0)):
            return hint
    return None


def _as_text(text: str) -> str | None:
    """Return the hint for an expression that is nothing but words."""
    words = " ".join(text.split())
    return f"for the text write \"'{words}'\"" if " " in words and len(words) <= 60 and _WORDS.fullmatch(words) else None


def expressions(expr: Expr) -> list[Expression]:
    """Return all Jinja expressions in a value of an expression key."""
    match expr:
        case Expression():
            return [expr]
        case ListOf():
            return [e for item in expr.items for e in expressions(item)]
        case MapOf():
            return [e for item in expr.items.values() for e in expressions(item)]
    return []
