"""Turn Python nodes of Prompt flow into `call` steps, and glue among them into typed outputs. Runs none of their code."""

from __future__ import annotations

import importlib.util
import re
from typing import Any

from flowkit.imports import fields, glue, names, python, stubs, texts
from flowkit.imports.context import Answer, Context
from flowkit.imports.dag import Node, Value
from flowkit.imports.glue import Glue
from flowkit.imports.python import Copied
from flowkit.project import PathRefused

#: What a parameter takes in the place of nothing, by its annotation.
_NOTHING = {"str": "''", "list": "[]", "dict": "{}", "int": "0", "float": "0", "bool": "false"}
_CONNECTION = re.compile(r"\w*Connection\b")


class Functions:
    """The Python files of a flow, each read once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._read: dict[str, Copied | None] = {}

    def copied(self, node: Node) -> Copied | None:
        """Return the file of a node, or None when it cannot be used, which is reported once."""
        if node.path not in self._read:
            self._read[node.path] = self._copy(node)
        return self._read[node.path]

    def _copy(self, node: Node) -> Copied | None:
        context = self._context
        try:
            text = context.folder.text(node.path)
            stem = node.path.rpartition("/")[2].removesuffix(".py")
            found = python.copy(text, stem=stem, is_local=self._local)
        except PathRefused as refused:
            context.left(node.path_line, refused.message, refused.hint or "put the file there, and import again")
            return None
        except (SyntaxError, ValueError) as error:
            context.left(
                getattr(error, "lineno", 1) or 1, f"Python cannot read this: {error}", "mend it", file=context.folder.shown(node.path)
            )
            return None
        if found.function is None:
            context.left(
                1,
                "no function here is marked with @tool",
                "write a function, and name it under `call`",
                file=context.folder.shown(node.path),
            )
            return None
        return found

    def _local(self, module: str) -> bool:
        return (
            self._context.folder.has(f"{module}.py")
            or self._context.folder.has(f"{module}/__init__.py")
            or self._context.folder.path(module).is_dir()
        )

    def typed(self, node: Node) -> None:
        """Look whether a node only reads a model's answer; where that is sure, the type of the answer takes its place."""
        found = self.copied(node)
        if found is None or found.function is None or (glued := glue.recognise(found.function)) is None:
            return
        context, shown = self._context, self._context.folder.shown(node.path)
        value = node.inputs.get(glued.parameter)
        from_ = value.reference if value else None
        model = context.dag.get(from_.node) if from_ and from_.node and not from_.path else None
        line = found.function.lineno
        output = _output(glued, context, node)
        if glued.kind == "trim":
            return
        said = output if isinstance(output, str) else "{" + ", ".join(f"{k}: {v}" for k, v in output.items()) + "}"
        what = f"step {node.name!r} only {_DOES[glued.kind]}"
        sure = glued.sure and model is not None and model.kind in {"llm", "custom_llm"} and not node.activate and not node.aggregation
        if not sure or model is None or context.answers.get(model.name) or model.activate:
            context.draft.report.typed(
                shown,
                line,
                f"{what}: this is what a typed output does",
                f"write `output: {said}` on the step that asks the model, and drop this one",
            )
            return
        context.replaced[node.name] = (model.name, f".{glued.key}" if glued.key else "")
        context.answers[model.name] = Answer(output, glued.kind == "json", node.name)
        way = f"`output: {said}` on step {model.name!r}" + (
            "; name more fields or enum(…) where you know them" if glued.kind == "json" else ""
        )
        context.draft.report.typed(shown, line, f"{what}; a typed output does that now", way)
        if glued.otherwise is not None:
            default = texts.literal(glued.otherwise)
            context.changed(
                line,
                f"its value for answers that cannot be read, {default}, is not taken over: such an answer is asked for again",
                "for the old way write `on_error: {default: …}`",
                file=shown,
            )

    def convert(self, node: Node) -> dict[str, Any]:
        """Return the step of a node."""
        found = self.copied(node)
        context = self._context
        if found is None or found.function is None:
            return {"call": self.stub(node, f"the Python file {node.path!r}"), "with": self._with(node, None)}
        shown = context.folder.shown(node.path)
        for note in found.needs:
            context.left(note.line, note.what, note.way, file=shown)
        if found.broken:
            return self.stubbed(node, f"the Python file {node.path!r}, which cannot be loaded without Prompt flow,")
        file = self._write(node.path, found)
        if late := [library for library in found.libraries if library not in found.first]:
            context.changed(
                1, f"needs {', '.join(late)} when it runs", "install what is not there; the imports moved into the functions", file=shown
            )
        if missing := [library for library in found.first if importlib.util.find_spec(library) is None]:
            context.left(1, f"needs {', '.join(missing)} to be loaded at all", "install that before you check the flow", file=shown)
        step: dict[str, Any] = {"call": f"{file.removesuffix('.py').replace('/', '.')}:{found.function.name}"}
        if given := self._with(node, found):
            step["with"] = given
        deeper = [r for reader in context.dag.readers(node.name) for r in reader.references() if r.node == node.name and r.path]
        deeper += [r for v in context.dag.outputs.values() if (r := v.reference) and r.node == node.name and r.path]
        asked = {
            type(n.activate.value).__name__
            for n in context.dag.nodes
            if n.activate and n.activate.when and n.activate.when.node == node.name
        }
        if (deeper or asked - {found.returns}) and found.returns in {"str", "int", "float", "bool"}:
            step["output"] = "any"
            read = "keys of it are read" if deeper else f"it is compared with {' and '.join(sorted(asked))}"
            context.changed(
                found.function.lineno,
                f"says that it returns {found.returns}, but {read}",
                "`output: any` on the step; mend the annotation",
                file=shown,
            )
        return step

    def stub(self, node: Node, what: str) -> str:
        """Return a function that says what is missing."""
        name = self._context.steps.new(node.name)
        return stubs.add(self._context.draft, name, origin=f"{self._context.dag.file}:{node.line}", what=f"{what} was not converted")

    def stubbed(self, node: Node, what: str) -> dict[str, Any]:
        """Return a step that stands for a node that cannot be converted."""
        step: dict[str, Any] = {"call": self.stub(node, what)}
        if given := self._with(node, None):
            step["with"] = given
        return step

    def _with(self, node: Node, found: Copied | None) -> dict[str, Any]:
        context = self._context
        params = found.parameters() if found else {}
        given: dict[str, Any] = {}
        for name, value in node.inputs.items():
            if found and name not in params and not found.takes_any:
                context.changed(value.line, f"input {name!r} of {node.name!r} is none of its function", "it is left out")
                continue
            annotation = params[name].annotation if name in params else ""
            if _CONNECTION.search(annotation) or (name == "connection" and value.reference is None):
                context.left(
                    value.line,
                    f"node {node.name!r} takes the connection {value.data!r}",
                    "make it a step that asks a model, or let the function read its key from the environment",
                )
            given[name] = self._argument(value, annotation)
        for name, wanted in params.items():
            if wanted.required and name not in given:
                context.left(
                    node.line, f"nothing gives {name!r}, which the function of {node.name!r} needs", "write its value under `with`"
                )
                given[name] = _nothing(wanted.annotation)
        return given

    def _argument(self, value: Value, annotation: str) -> Any:
        if refers := value.reference:
            return self._context.expression(refers, value.line, absent=_nothing(annotation), as_text=annotation in {"", "str"})
        type_ = fields.TYPES.get(annotation, "")
        fits, data = fields.fitting(value.data, type_) if type_ and value.data is not None else (False, None)
        return _constant(data if fits else value.data)

    def _write(self, path: str, found: Copied) -> str:
        """Put a file beside the flow, with all of its folder that it imports or names."""
        target = names.module(path)
        if target in self._context.draft.files:
            return target
        self._context.draft.files[target] = found.text
        for module in sorted(found.local):
            self._follow(module)
        for text in sorted(found.texts):
            if "\n" not in text and not text.endswith(".py") and self._context.folder.has(text) and not text.startswith((".", "/")):
                self._context.draft.files[text] = self._context.folder.data(text)
        return target

    def _follow(self, module: str) -> None:
        folder = self._context.folder
        base = module.replace(".", "/")
        for name in (f"{base}.py", f"{base}/__init__.py"):
            if not folder.has(name) or name in self._context.draft.files:
                continue
            try:
                found = python.copy(folder.text(name), stem=base, is_local=self._local)
            except (SyntaxError, ValueError, PathRefused) as error:
                self._context.left(1, f"cannot be read: {error}", "mend it", file=folder.shown(name))
                continue
            for note in found.needs:
                self._context.left(note.line, note.what, note.way, file=folder.shown(name))
            self._context.draft.files[name] = found.text
            for inner in sorted(found.local):
                self._follow(inner)


def _nothing(annotation: str) -> str:
    return next((nothing for word, nothing in _NOTHING.items() if annotation.lower().startswith(word)), "none")


_DOES = {
    "json": "reads JSON from the answer of a model",
    "words": "looks for one of some words in the answer of a model",
    "number": "reads a number from the answer of a model",
    "list": "cuts the answer of a model into a list",
}


def _output(found: Glue, context: Context, node: Node) -> Any:
    """Return the type that does what the glue does."""
    if found.kind == "words":
        asked = [n.activate.value for n in context.dag.nodes if n.activate and n.activate.when and n.activate.when.node == node.name]
        more = [text for text in asked if isinstance(text, str) and text not in found.words]
        return fields.words((*found.words, *more))
    if found.kind != "json":
        return found.type
    known: dict[str, Any] = {key: fields.field(fields.type_of(value)) for key, value in found.fields.items()}
    read = [r for reader in context.dag.readers(node.name) for r in reader.references() if r.node == node.name]
    read += [r for value in context.dag.outputs.values() if (r := value.reference) and r.node == node.name]
    for reference in read:
        key = re.match(r"\.(\w+)", reference.path)
        if key and not found.key:
            known.setdefault(key[1], _declared(context, reference.path, node.name))
    if found.key:
        known = {found.key: _declared(context, "", node.name)}
    whole = any(not reference.path for reference in read) and not found.key
    usable = known and all(name.isidentifier() for name in known)
    return known if usable and not (whole and not found.fields) else "object"


def _declared(context: Context, path: str, node: str) -> str:
    """Return the type that an output of the flow says for what a node gives there."""
    for name, value in context.dag.outputs.items():
        found = value.reference
        if found and found.node == node and found.path == path:
            return fields.TYPES.get(str(context.output_types.get(name, "string")), "string")
    return "string"


def _constant(value: Any) -> Any:
    """Write a constant where an expression stands."""
    if isinstance(value, str):
        return texts.literal(value)
    if isinstance(value, list):
        return [_constant(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _constant(held) for key, held in value.items()}
    return value
