"""Turn a folder of Prompt flow with its `flow.dag.yaml` into a draft. Runs and calls nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from flowkit.imports import dag, fields, roles, servers, talks, texts
from flowkit.imports.asking import MODELS, Asking
from flowkit.imports.context import Answer, Context
from flowkit.imports.dag import Node, Value
from flowkit.imports.draft import Draft, Unreadable
from flowkit.imports.files import Folder
from flowkit.imports.functions import Functions
from flowkit.imports.names import Names, plain
from flowkit.imports.prompts import Prompts
from flowkit.imports.roles import Talk
from flowkit.imports.servers import Models


def read(path: Path, *, cwd: Path) -> Draft:
    """Read a folder, or a `flow.dag.yaml` itself. Raises Unreadable and PathRefused."""
    if path.is_file() and (path.suffix not in {".yaml", ".yml"} or ".prompt." in path.name):
        verb = {".prompty": "prompty", ".yml": "prompt-yml", ".yaml": "prompt-yml"}.get(path.suffix)
        way = f"; for this file: flowkit import {verb} {path}" if verb else ""
        raise Unreadable(f"{path} is a file: name a folder with {dag.NAMES[0]}{way}")
    name = path.name if path.is_file() else next((n for n in dag.NAMES if (path / n).is_file()), "")
    folder = Folder(path.parent if path.is_file() else path, cwd=cwd)
    if not name:
        if any((path / other).is_file() for other in ("flow.flex.yaml", "flow.flex.yml")):
            raise Unreadable(
                f"{path}: a flex flow is Python code with nothing to convert; name its function in a step: call: module:function"
            )
        prompts = sorted(path.glob("*.prompty"))
        way = f"; for a .prompty file: flowkit import prompty {prompts[0]}" if prompts else ""
        raise Unreadable(f"{path}: there is no {dag.NAMES[0]} here{way}")
    found = dag.read(folder, name)
    draft = Draft(plain(found.name).replace("_", "-") or "flow", found.file, " ".join(found.description.split()))
    context = Context(found, folder, draft, Models(draft.models), Names(kind="input", small=False), Names(kind="step"))
    return _Import(context).run()


class _Import:
    """One import: the parts in the order in which they depend on each other."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._functions = Functions(context)
        self._prompts = Prompts(context)
        self._models = Asking(context, self._prompts)

    def run(self) -> Draft:
        context = self._context
        draft, found = context.draft, context.dag
        for line, key in found.unknown:
            context.left(line, f"key {key!r}", "flowkit knows no such thing")
        for name in found.inputs:
            context.inputs.new(name)
        kept = [node for node in found.nodes if not self._aggregates(node)]
        for node in kept:
            context.steps.new(node.name)
        context.output_types = {
            name: str(value.data.get("type", "string")) for name, value in found.outputs.items() if isinstance(value.data, dict)
        }
        self._outputs_read()
        for node in kept:
            if node.kind == "python" and not node.package:
                self._functions.typed(node)
        self._formats(kept)
        self._conditions(kept)
        self._inputs()
        for node in kept:
            if node.name not in context.replaced and node.kind != "prompt":
                self._step(node)
        self._flow_outputs()
        self._wanted_prompts(kept)
        if not draft.steps:
            raise Unreadable(f"{found.file}: there is no node in it that a flow could have")
        draft.report.renamed = context.inputs.renamed() | {old: new for old, new in context.steps.renamed().items() if new in draft.steps}
        order = [step for node in kept for step in (f"talk_of_{context.steps.given[node.name]}", context.steps.given[node.name])]
        draft.steps = {step: draft.steps[step] for step in order if step in draft.steps} | draft.steps
        return draft

    def _outputs_read(self) -> None:
        """Take the references of outputs out of their mappings."""
        outputs = {}
        for name, value in self._context.dag.outputs.items():
            data = value.data.get("reference") if isinstance(value.data, dict) else value.data
            outputs[name] = Value(data, value.line)
        self._context.dag = replace(self._context.dag, outputs=outputs)

    def _aggregates(self, node: Node) -> bool:
        if node.aggregation:
            way = "write `metrics:` under `tests:`: {name: {expr, aggregate: mean}} for each number"
            self._context.left(node.line, f"node {node.name!r} aggregates over all rows, which a flow does not", way)
        return node.aggregation

    def _conditions(self, kept: list[Node]) -> None:
        """Find which steps may be skipped: those with a condition, and those that read one of these and nothing else."""
        context = self._context
        context.skippable = {node.name for node in kept if node.activate}
        while True:
            more = {node.name for node in kept if node.name not in context.skippable and context.only_one(node)}
            if not more:
                return
            context.skippable |= more

    def _formats(self, kept: list[Node]) -> None:
        """Find which nodes do not answer with text: those that ask for JSON, and those with functions, which give a whole message."""
        context = self._context
        for node in kept:
            if node.kind in MODELS and any(node.inputs[n].data for n in ("functions", "tools") if n in node.inputs):
                context.raw.add(node.name)
            form = node.inputs.get("response_format")
            if form is None or node.kind not in MODELS or node.name in context.answers or not _is_json(form.data):
                continue
            output = servers.output_of(form.data, plain(node.name), context.draft, (context.dag.file, form.line))
            context.answers[node.name] = Answer(output, json=True)

    # -- inputs and outputs --

    def _inputs(self) -> None:
        for name, value in self._context.dag.inputs.items():
            said = value.data if isinstance(value.data, dict) else {"type": "string"}
            self._context.draft.inputs.update(self._input(name, said, value))

    def _input(self, name: str, said: dict[str, Any], value: Value) -> dict[str, Any]:
        context, new = self._context, self._context.inputs.new(name)
        word = str(said.get("type", "string"))
        type_ = fields.TYPES.get(word.lower(), "any")
        if word.lower() not in fields.TYPES:
            context.changed(value.line, f"input {name!r} is of type {word!r}", "it is `any` in the flow")
        described = str(said.get("description") or "")
        default = said.get("default", ...)
        if said.get("is_chat_history") or name == "chat_history":
            type_, default = self._history(name, default, value)
        if word.lower() == "image":
            default = self._picture(name, default, value)
            described = described or "address of an image, or a data URL"
        if isinstance(default, list) and any(isinstance(item, dict) and any("image" in str(key) for key in item) for item in default):
            way = "make an input for the text and one for the address of the image, and write the parts: [{text: …}, {image_url: …}]"
            context.left(value.line, f"input {name!r} is a list of texts and images, which prints as JSON", way)
        if default is None:
            context.optional.add(name)
            return {f"{new}?": fields.field(type_, description=described)}
        if default is not ...:
            fits, default_ = fields.fitting(default, type_)
            if not fits:
                context.left(value.line, f"the default of input {name!r} is no {type_}", "write one that is")
                default = ...
            else:
                default = default_
        return {new: fields.field(type_, description=described, default=default)}

    def _picture(self, name: str, default: Any, value: Value) -> Any:
        if isinstance(default, dict) and default:
            path = next(iter(default.values()))
            default = self._context.folder.picture(str(path)) if not str(path).startswith("http") else path
            default = default or ...
        elif isinstance(default, str) and not default.startswith(("http", "data:")):
            default = self._context.folder.picture(default) or ...
        if isinstance(default, str) and len(default) > 20_000:
            self._context.left(
                value.line,
                f"the default image of input {name!r} is too large for a file of text",
                "give the image as an address or data URL: -i NAME=@FILE",
            )
            return ...
        return default

    def _history(self, name: str, default: Any, value: Value) -> tuple[str, Any]:
        """A chat history is a list of messages now, where all that is done with it is to write them."""
        context = self._context
        pairs: set[tuple[str, str]] = set()
        for node in self._context.dag.all():
            for variable, given in node.inputs.items():
                refers = given.reference
                if not refers or refers.node or refers.name != name:
                    continue
                text = self._models.template(node) if node.kind in MODELS else None
                if text is None or refers.path or not talks.only_talk(text, variable):
                    return ("list(any)", default)
                pairs |= {(p.user, p.assistant) for p in [part for part in roles.split(text, first="user").parts if isinstance(part, Talk)]}
        user, assistant = next(iter(sorted(pairs, reverse=True)), ("inputs.question", "outputs.answer"))
        history = talks.messages([] if default in (..., None) else default, user, assistant)
        if history is None or len(pairs) > 1:
            return ("list(any)", default)
        context.talks.add(name)
        context.changed(
            value.line,
            f"input {name!r} is a list of messages now: {{role, content}}",
            f"two messages for each pair of {user} and {assistant}" if user else "",
        )
        return ("list(Message)", history)

    def _flow_outputs(self) -> None:
        context = self._context
        outputs = {}
        names = Names(kind="output", small=False)
        for name, value in context.dag.outputs.items():
            refers = dag.reference(value.data)
            if refers is None:
                context.left(value.line, f"output {name!r} has no reference", "name a value: steps.ID.output")
                continue
            node = context.source(refers.node)
            if refers.node and node not in context.steps.given:
                context.left(value.line, f"output {name!r} reads {refers.node!r}, which is no step any more", "see what became of it")
                continue
            outputs[names.new(name)] = context.expression(refers, value.line)
        context.draft.outputs = outputs or None

    # -- steps --

    def _step(self, node: Node) -> None:
        context = self._context
        step_id = context.steps.new(node.name)
        known = node.kind in MODELS and node.path
        step = self._models.step(node) if known else self._function(node)
        head: dict[str, Any] = {}
        if node.activate:
            head["when"] = self._when(node)
        elif context.only_one(node):
            head["on_skip"] = "skip"
        context.draft.steps[step_id] = {**head, **step}
        if node.remark:
            context.draft.remarks[step_id] = node.remark
        if "call" in step and str(step["call"]).startswith("left_out:"):
            context.draft.remarks[step_id] = f"not converted: see left_out.py ({context.dag.file}:{node.line})"
        else:
            context.draft.report.converted[step_id] = node.kind or "node"

    def _function(self, node: Node) -> dict[str, Any]:
        context = self._context
        if node.name in context.dag.variants:
            context.left(
                node.line,
                f"the other variants of {node.name!r}, which is no step that asks a model",
                "write a flow for each, or an input that chooses",
            )
        if node.kind == "python" and not node.package and node.path:
            return self._functions.convert(node)
        what = f"package tool {node.package!r}" if node.package else f"a node of type {node.kind or 'none'!r}"
        context.left(node.line, f"node {node.name!r}: {what}", "write the function in left_out.py, or a step in its place")
        return self._functions.stubbed(node, what)

    def _when(self, node: Node) -> str:
        assert node.activate is not None
        if node.activate.when is None:
            self._context.left(node.activate.line, "activate without a reference", "write `when:`")
            return "true"
        left = self._context.expression(node.activate.when, node.activate.line)
        if left == "''":  # it names nothing, which is reported
            return "true"
        return f"{left} == {texts.literal(node.activate.value)}"

    def _wanted_prompts(self, kept: list[Node]) -> None:
        """Make steps of the prompt nodes that anything still reads as a value."""
        context, draft = self._context, self._context.draft
        waiting = [node for node in kept if node.kind == "prompt"]
        progress = True
        while progress:
            progress = False
            written = repr((draft.steps, draft.outputs))
            for node in [*waiting]:
                step = context.steps.given[node.name]
                if f"steps.{step}." not in written:
                    continue
                waiting.remove(node)
                progress = True
                draft.steps[step] = self._prompts.step(node)
                if node.activate:
                    draft.steps[step] = {"when": self._when(node), **draft.steps[step]}
                elif context.only_one(node):
                    draft.steps[step] = {"on_skip": "skip", **draft.steps[step]}
                draft.report.converted[step] = "prompt"
        for node in waiting:
            draft.report.converted[context.steps.given[node.name]] = "prompt, whose text stands where it was read"


def _is_json(form: Any) -> bool:
    return isinstance(form, dict) and str(form.get("type", "")).startswith("json")
