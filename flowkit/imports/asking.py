"""Turn nodes of Prompt flow that ask a model into steps: messages, model, parameters, variants. Calls nothing."""

from __future__ import annotations

import re
from typing import Any

from flowkit.imports import chats, roles, servers, talks, texts
from flowkit.imports.chats import Reading, Template
from flowkit.imports.context import Context
from flowkit.imports.dag import Node
from flowkit.imports.names import plain
from flowkit.imports.prompts import Prompts, absent_names
from flowkit.imports.roles import Talk
from flowkit.keys.params import PARAMS

#: Inputs of a model node that are settings, not variables of its template.
SETTINGS = frozenset(
    (
        *PARAMS.names(),
        "deployment_name",
        "model",
        "connection",
        "response_format",
        "n",
        "best_of",
        "suffix",
        "echo",
        "functions",
        "function_call",
        "tools",
    )
    + ("model_kwargs", "api", "endpoint_name", "detail")
)
#: What models that chat do not take.
_OLD = frozenset({"best_of", "suffix", "echo", "logprobs", "detail"})
MODELS = frozenset({"llm", "custom_llm"})


class Asking:
    """The nodes of a flow that ask models."""

    def __init__(self, context: Context, prompts: Prompts) -> None:
        self._context = context
        self._prompts = prompts

    def template(self, node: Node) -> str | None:
        """Return the template of a node, or None where there is none to read."""
        return self._prompts.inline(node, SETTINGS) if node.path and self._context.folder.has(node.path) else None

    def step(self, node: Node) -> dict[str, Any]:
        """Return the step of a node that asks a model, with its variants."""
        context = self._context
        step = {**self._settings(node), **self._said(node)}
        answer = context.answers.get(node.name)
        if answer and answer.output is not None:
            step["output"] = answer.output
        others = {}
        for name, variant in context.dag.variants.get(node.name, {}).items():
            if variant.kind not in MODELS or not variant.path:
                context.left(variant.line, f"variant {name!r} of {node.name!r} asks no model", "write a flow for each")
                continue
            said = {**self._settings(variant), **self._said(variant)}
            others[plain(name) or "variant"] = {
                key: value for key, value in said.items() if step.get(key) != value or key in {"messages", "prompt"}
            }
        if others:
            step["variants"] = others
        return step

    def _said(self, node: Node) -> dict[str, Any]:
        context = self._context
        text = self._prompts.inline(node, SETTINGS)
        file = context.folder.shown(node.path)
        known = absent_names(text or "", context.names(node, dict.fromkeys(SETTINGS)), context, file)
        reading = Reading(
            known,
            talk=lambda talk, of: self._talk(node, talk, of),
            picture=self._local_picture,
            chat=node.api != "completion" or roles.has_roles(text or ""),
        )
        if node.api == "completion":
            context.changed(node.line, f"node {node.name!r} completed a text", "models of today chat: it is sent as messages")
        if reading.chat and re.fullmatch(r"\s*\{\{-?\s*\w+\s*-?\}\}\s*", text or ""):
            way = "write the messages on this step, and give it values"
            context.left(
                1,
                f"the whole prompt of {node.name!r} is a value; role lines in it are text, for roles come from the flow alone",
                way,
                file=file,
            )
        return chats.body(chats.messages(Template(text or "", file), reading, context.draft.report))

    def _talk(self, node: Node, talk: Talk, of: str) -> str:
        """Return the messages of a talk as an expression: what they are, or a step that makes them."""
        base = re.match(r"inputs\.(\w+)", of)
        context = self._context
        if not talk.user or (base and any(context.inputs.given.get(name) == base[1] for name in context.talks)):
            return of
        step = f"talk_of_{context.steps.new(node.name)}"
        context.draft.files[talks.FILE] = talks.module()
        given = {"turns": of, "user": texts.literal(talk.user), "assistant": texts.literal(talk.assistant)}
        context.draft.steps[step] = {"call": f"{talks.FILE.removesuffix('.py')}:messages", "with": given}
        context.draft.report.converted[step] = "the loop that wrote the chat history"
        return f"steps.{step}.output"

    def _local_picture(self, name: str) -> str:
        data = self._context.folder.picture(name)
        if not data:
            self._context.left(
                1, f"the image {name!r} cannot be read", "give it as an input: address or data URL", file=self._context.folder.shown(name)
            )
            return ""
        value = plain(name.rpartition("/")[2])
        self._context.draft.files[f"{value}.txt"] = data
        self._context.draft.values[value] = {"file": f"{value}.txt"}
        return f"{{{{ values.{value} }}}}"

    def _settings(self, node: Node) -> dict[str, Any]:
        """Return model and parameters of a node."""
        context, place = self._context, (self._context.dag.file, node.line)
        given = {name: value.data for name, value in node.inputs.items() if name in PARAMS.names() or name == "n"}
        for name in ("functions", "function_call", "tools", "tool_choice"):
            given.pop(name, None)
            if name in node.inputs and node.inputs[name].data not in ("", None) and name in {"function_call", "tool_choice"}:
                way = "beside `tools:` of the step: `params: {tool_choice: …}`"
                context.left(node.inputs[name].line, f"{name!r} of node {node.name!r}", way)
            if name in node.inputs and node.inputs[name].data not in ("", None) and name in {"functions", "tools"}:
                way = "name functions that flowkit may call: `tools: [module:function]`; it asks the model again with what they give"
                context.left(node.inputs[name].line, f"{name!r} of node {node.name!r}: descriptions of functions", way)
        given = {name: value for name, value in given.items() if not (name in _OLD and not value)}
        model = self._model(node)
        found = servers.params(given, context.draft.report, place)
        return {**({"model": model} if model else {}), **({"params": found} if found else {})}

    def _model(self, node: Node) -> str:
        deployment, model = (node.inputs[n].data if n in node.inputs else "" for n in ("deployment_name", "model"))
        name = str(deployment or model or "")
        if not servers.is_model(name):
            line = node.inputs["deployment_name"].line if deployment else node.line
            self._context.left(
                line,
                f"node {node.name!r} names no model" + (f": {name}" if name else ""),
                "write `model: provider/name` on the step, or run with -m default=provider/name",
            )
            return ""
        provider = {"azureopenai": "azure", "openai": "openai", "serverless": "azure"}.get(node.provider.lower(), "")
        provider = provider or ("azure" if deployment else "openai")
        alias = self._context.models.alias(provider, name)
        if node.connection:
            reads = "AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY" if provider == "azure" else "OPENAI_API_KEY"
            way = f"{provider}/{name} reads {reads}; another server is a line under `models:`, or -m {alias}=openai/NAME for one run"
            self._context.changed(
                self._first_use(node.connection), f"connection {node.connection!r}: connections are none of a flow's", way
            )
        return alias

    def _first_use(self, connection: str) -> int:
        return min(node.line for node in self._context.dag.all() if node.connection == connection)
