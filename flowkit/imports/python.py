"""Copy a Python file of Prompt flow so that it needs neither Prompt flow nor, until it runs, any library. Runs nothing of it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

#: Decorators that mark a tool or trace a function; flowkit needs neither.
_MARKS = frozenset({"tool", "trace"})


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a tool: its annotation as written, and whether it must be given."""

    name: str
    annotation: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True)
class Note:
    """Something that people have to know of a line of the file."""

    line: int
    what: str
    way: str


@dataclass(slots=True)
class Copied:
    """A Python file as it is written beside the flow."""

    text: str
    #: The function that is the tool; None: none could be found.
    function: ast.FunctionDef | ast.AsyncFunctionDef | None
    #: Modules of the same folder that it imports.
    local: set[str] = field(default_factory=set)
    #: Libraries that must be installed before it runs; those that must be so before it can even be loaded.
    libraries: list[str] = field(default_factory=list)
    first: list[str] = field(default_factory=list)
    #: What of Prompt flow it cannot do without.
    needs: list[Note] = field(default_factory=list)
    #: Whether it needs that already when it is loaded.
    broken: bool = False
    #: Texts that may name files beside it.
    texts: set[str] = field(default_factory=set)

    def parameters(self) -> dict[str, Parameter]:
        """Return the parameters of the tool by name."""
        if self.function is None:
            return {}
        given = self.function.args
        plain = [*given.posonlyargs, *given.args]
        defaults: list[ast.expr | None] = [*[None] * (len(plain) - len(given.defaults)), *given.defaults]
        pairs = [*zip(plain, defaults, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
        return {arg.arg: Parameter(arg.arg, _annotation(arg, default), default is None) for arg, default in pairs}

    @property
    def takes_any(self) -> bool:
        """Whether the tool takes names that it does not list."""
        return self.function is not None and self.function.args.kwarg is not None

    @property
    def returns(self) -> str:
        """The annotation of what it returns, as written."""
        return ast.unparse(self.function.returns) if self.function is not None and self.function.returns else ""


def copy(source: str, *, stem: str, is_local: Callable[[str], bool]) -> Copied:
    """Return the file without what it takes from Prompt flow; raises SyntaxError.

    Libraries are imported where they are used, so that the flow can be checked where they are not installed.
    """
    tree = ast.parse(source)
    copied = Copied(source, _tool(tree, stem))
    edits = _Lines(source)
    gone: set[str] = set()
    late: dict[str, ast.Import | ast.ImportFrom] = {}
    for node in tree.body:
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        module = node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
        top = module.split(".")[0]
        if isinstance(node, ast.ImportFrom) and node.level:
            copied.local.add(module or node.names[0].name)
        elif top == "promptflow":
            edits.remove(node)
            gone |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif is_local(top):
            copied.local |= {alias.name for alias in node.names} if isinstance(node, ast.Import) else {module}
        elif top not in sys.stdlib_module_names:
            copied.libraries += [top] if top not in copied.libraries else []
            late |= {(alias.asname or alias.name).split(".")[0]: node for alias in node.names}
    for inner in ast.walk(tree):
        if isinstance(inner, ast.ImportFrom) and inner.module and not inner.level and is_local(inner.module.split(".")[0]):
            copied.local.add(inner.module)
    for node in tree.body:
        if isinstance(node, (ast.If, ast.Try)):
            copied.libraries += [
                lib for lib in _imported(node) if lib not in copied.libraries and lib != "promptflow" and not is_local(lib)
            ]
    _unmark(tree, edits, gone)
    copied.needs = [note for note, _ in _needed(tree, gone)]
    inside = _inside(tree)
    copied.broken = any(id(name) not in inside for _, name in _needed(tree, gone))
    annotated = _annotated(tree)
    copied.first = _defer(tree, late, edits)
    if annotated & (gone | set(late)):
        edits.first("from __future__ import annotations\n", tree)
    copied.text = edits.text()
    copied.texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and 3 < len(node.value) < 200
    }
    return copied


class _Lines:
    """The lines of a file, and what becomes of them."""

    def __init__(self, source: str) -> None:
        self._lines: list[str | None] = list(source.splitlines())
        self._before: dict[int, list[str]] = {}

    def remove(self, node: ast.stmt | ast.expr) -> None:
        for number in range(node.lineno - 1, node.end_lineno or node.lineno):
            self._lines[number] = None

    def before(self, line: int, text: str) -> None:
        self._before.setdefault(line - 1, []).append(text)

    def first(self, text: str, tree: ast.Module) -> None:
        body = tree.body
        if any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in body):
            return
        start = 1 if ast.get_docstring(tree) is not None and len(body) > 1 else 0
        self._before.setdefault(body[start].lineno - 1 if start else 0, []).insert(0, text)

    def text(self) -> str:
        lines: list[str] = []
        for number, line in enumerate(self._lines):
            lines += self._before.get(number, [])
            if line is not None:
                lines.append(line)
        text = "\n".join(lines).strip("\n") + "\n"
        return re.sub(r"\n{4,}", "\n\n\n", text)


def _annotation(arg: ast.arg, default: ast.expr | None) -> str:
    """Return what a parameter takes: as written, else as its default is, which is how Prompt flow reads it."""
    if arg.annotation is not None:
        return ast.unparse(arg.annotation)
    known = isinstance(default, ast.Constant) and isinstance(default.value, (bool, int, float))
    return type(default.value).__name__ if isinstance(default, ast.Constant) and known else ""


def _tool(tree: ast.Module, stem: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    functions = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for function in functions:
        if any(_mark(decorator) == "tool" for decorator in function.decorator_list):
            return function
    named = [function for function in functions if function.name == stem]
    return named[0] if named else functions[0] if len(functions) == 1 else None


def _mark(decorator: ast.expr) -> str:
    if isinstance(decorator, ast.Call):
        decorator = decorator.func
    return decorator.attr if isinstance(decorator, ast.Attribute) else decorator.id if isinstance(decorator, ast.Name) else ""


def _unmark(tree: ast.Module, edits: _Lines, gone: set[str]) -> None:
    for node in ast.walk(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        for decorator in node.decorator_list:
            root = decorator.func if isinstance(decorator, ast.Call) else decorator
            while isinstance(root, ast.Attribute):
                root = root.value
            if _mark(decorator) in _MARKS and isinstance(root, ast.Name) and root.id in gone:
                edits.remove(decorator)


def _annotations(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation:
            yield node.annotation
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.returns:
            yield node.returns
        elif isinstance(node, ast.AnnAssign):
            yield node.annotation


def _annotated(tree: ast.Module) -> set[str]:
    return {name.id for annotation in _annotations(tree) for name in ast.walk(annotation) if isinstance(name, ast.Name)}


def _needed(tree: ast.Module, gone: set[str]) -> list[tuple[Note, ast.Name]]:
    """Find where the file uses what it took from Prompt flow for more than marks and annotations."""
    harmless = {id(name) for annotation in _annotations(tree) for name in ast.walk(annotation)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            harmless |= {id(n) for decorator in node.decorator_list if _mark(decorator) in _MARKS for n in ast.walk(decorator)}
    notes = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in gone and id(node) not in harmless:
            way = (
                "write the number to an output and aggregate it under `metrics:` of a test"
                if node.id == "log_metric"
                else "write it without Prompt flow"
            )
            notes.append((Note(node.lineno, f"uses {node.id!r} of Prompt flow", way), node))
    return notes


def _imported(node: ast.stmt) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            yield from (alias.name.split(".")[0] for alias in inner.names if alias.name.split(".")[0] not in sys.stdlib_module_names)
        elif isinstance(inner, ast.ImportFrom) and inner.module and inner.module.split(".")[0] not in sys.stdlib_module_names:
            yield inner.module.split(".")[0]


def _defer(tree: ast.Module, late: dict[str, ast.Import | ast.ImportFrom], edits: _Lines) -> list[str]:
    """Move imports of libraries into the functions that use them; return the libraries that the module needs when it is loaded."""
    functions = list(_functions(tree))
    programs = [node for node in tree.body if isinstance(node, ast.If) and _main(node)]
    inside = _inside(tree) | {id(node) for annotation in _annotations(tree) for node in ast.walk(annotation)}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in inside}
    moved = {name: node for name, node in late.items() if not any((a.asname or a.name).split(".")[0] in used for a in node.names)}
    for node in {id(node): node for node in moved.values()}.values():
        edits.remove(node)
    for part in [*functions, *programs]:
        names = {name.id for held in part.body for name in ast.walk(held) if isinstance(name, ast.Name)}
        body = part.body
        first = body[1] if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) and len(body) > 1 else body[0]
        line = min([first.lineno, *(d.lineno for d in getattr(first, "decorator_list", []))])
        for node in {id(node): node for name, node in moved.items() if name in names}.values():
            edits.before(line, " " * first.col_offset + ast.unparse(node))
    kept = [node for name, node in late.items() if name not in moved]
    return sorted({(node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0] for node in kept})


def _inside(tree: ast.Module) -> set[int]:
    """Return the nodes that do not run when the module is loaded."""
    bodies = [function.body for function in _functions(tree)] + [
        node.body for node in tree.body if isinstance(node, ast.If) and _main(node)
    ]
    return {id(node) for body in bodies for part in body for node in ast.walk(part)}


def _functions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the functions and methods that lie in no other function."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield inner
        else:
            yield from _functions(inner)


def _main(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)
