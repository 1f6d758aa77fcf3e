"""Turn a `.prompty` file, of any version of its format, into a draft. Calls nothing, and reads no variable of the environment."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from flowkit import source
from flowkit.imports import chats, fields, files, mustache, roles, servers, talks, texts
from flowkit.imports.chats import Reading, Template
from flowkit.imports.draft import Draft, Unreadable
from flowkit.imports.fields import SchemaUnsupported
from flowkit.imports.files import Folder
from flowkit.imports.names import Names, plain
from flowkit.imports.roles import Message, Talk
from flowkit.imports.servers import Models

_FRONT = re.compile(r"\A\s*---[ \t]*\n(?P<yaml>.*?)(?:^---[ \t]*$\n?)(?P<body>.*)\Z", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"\$\{file:([^}]+)\}")
_PROVIDERS = {
    "azure_openai": "azure",
    "azure": "azure",
    "openai": "openai",
    "anthropic": "anthropic",
    "serverless": "",
    "azure_serverless": "",
    "foundry": "azure",
}
_KNOWN = frozenset(
    (
        "name description model inputs inputSchema outputs outputSchema sample template tools authors tags version metadata id kind "
        "base instructions $schema slug tool_choice"
    ).split()
)


def read(path: Path, *, cwd: Path) -> Draft:
    """Read a file. Raises Unreadable and PathRefused."""
    if path.is_dir():
        raise Unreadable(f"{path} is a folder; name a .prompty file")
    folder = Folder(path.parent, cwd=cwd)
    return _Import(folder, path.name, folder.text(path.name)).run()


class _Import:
    """One import of one file."""

    def __init__(self, folder: Folder, name: str, text: str) -> None:
        self._folder = folder
        self._file = folder.shown(name)
        found = _FRONT.match(text)
        if found is None:
            if text.lstrip().startswith("---"):
                raise Unreadable(f"{self._file}: the second `---`, between the head and the prompt, is missing")
            raise Unreadable(f"{self._file} is no .prompty file: such a one begins with `---`, then YAML, then `---` and the prompt")
        front = found["yaml"]
        # The lines before the YAML stay, so that its lines are those of the file.
        lead = "\n" * text.count("\n", 0, found.start("yaml"))
        self._body = found["body"]
        self._before = text.count("\n", 0, found.start("body"))
        self._root = files.tree(lead + front, folder.path(name), self._file) if front.strip() else None
        if self._root is not None and not isinstance(self._root, source.Mapping):
            raise Unreadable(f"{self._file}: what stands between the `---` is no mapping")
        if not self._body.strip() and self._root is None:
            raise Unreadable(f"{self._file}: there is no prompt in it")
        self._said: dict[str, Any] = files.plain(self._root) or {}
        stem = re.sub(r"\.prompty$", "", name)
        self._draft = Draft(plain(str(self._said.get("name") or stem)).replace("_", "-") or "prompt", self._file)
        self._report = self._draft.report
        self._inputs = Names(kind="input", small=False)
        #: Inputs that may be absent: such as have no default and no sample.
        self._sample: dict[str, Any] = {}

    def run(self) -> Draft:
        draft, said = self._draft, self._said
        for key in said:
            if key not in _KNOWN:
                self._report.left(*self._at(key), f"key {key!r}", "flowkit knows no such thing")
        draft.description = " ".join(str(said.get("description") or "").split())
        if said.get("base"):
            self._report.left(
                *self._at("base"), f"it is built on {said['base']!r}", "import that one, and write what it says into this flow"
            )
        body = self._jinja(str(said["instructions"]) if said.get("instructions") and not self._body.strip() else self._body)
        self._declared(body)
        step = self._step(body)
        step |= self._output()
        draft.steps["answer"] = step
        draft.report.converted["answer"] = "the prompt"
        draft.outputs = chats.outputs("answer", step.get("output"))
        draft.report.renamed = self._inputs.renamed()
        if self._sample:
            draft.tests = [{"name": "sample", "inputs": self._sample}]
        return draft

    def _at(self, *keys: str) -> tuple[str, int]:
        """Return file and line of a key."""
        node: source.Node | None = self._root
        line = 1
        for key in keys:
            if not isinstance(node, source.Mapping) or (held := node.key(key)) is None:
                break
            line, node = held.line, node.get(key)
        return self._file, line

    def _jinja(self, body: str) -> str:
        """Return the body in Jinja, whatever it is written in."""
        template = self._said.get("template")
        form = template.get("format", template.get("type", "")) if isinstance(template, dict) else template
        kind = str(form.get("kind", "jinja2") if isinstance(form, dict) else form or "jinja2").lower()
        if kind in {"jinja2", "jinja", "nunjucks", ""}:
            return body
        if kind != "mustache":
            self._report.left(*self._at("template"), f"templates of {kind!r}", "write it in Jinja")
            return "{% raw %}" + body + "{% endraw %}"
        lists = {name for name, value in self._samples().items() if isinstance(value, list)}
        done, troubles = mustache.to_jinja(body, lists=lists)
        for trouble in troubles:
            self._report.left(self._file, self._before + trouble.line, trouble.what, trouble.way)
        return done

    # -- inputs --

    def _samples(self) -> dict[str, Any]:
        """Return the sample values of all inputs, from wherever this version of the format has them."""
        found: dict[str, Any] = {}
        held = self._given(self._said.get("sample"), "sample")
        for name, said in self._properties().items():
            value = said.get("sample", said.get("example", ...)) if isinstance(said, dict) else ...
            if value is not ...:
                found[name] = value
        return {**found, **(held if isinstance(held, dict) else {})}

    def _given(self, value: Any, key: str) -> Any:
        """Return data, also when a file holds it: `${file:x.json}` or the name of a file."""
        if isinstance(value, str) and (named := _FILE.fullmatch(value) or re.fullmatch(r"([\w./-]+\.(?:json|ya?ml))", value)):
            return self._folder.held(named[1], self._report, self._at(key))
        return value

    def _properties(self) -> dict[str, Any]:
        """Return the declared inputs by name: as a mapping of fields or of samples, a list, or a schema with `properties`."""
        said = self._given(self._said.get("inputs", self._said.get("inputSchema")), "inputs")
        if (
            isinstance(said, dict)
            and isinstance(said.get("properties"), (dict, list))
            and set(said) <= {"properties", "examples", "strict", "type", "required"}
        ):
            said = said["properties"]
        if isinstance(said, list):
            return {str(p["name"]): p for p in said if isinstance(p, dict) and "name" in p}
        return {str(name): p for name, p in said.items()} if isinstance(said, dict) else {}

    def _declared(self, body: str) -> None:
        """Declare inputs: those that are said to be, those of the sample, and those that the prompt reads."""
        samples = self._samples()
        properties = self._properties()
        for name, said in properties.items():
            self._input(name, said, samples)
        parts = roles.split(body, first="system").parts
        talking = {re.split(r"\W", part.of)[0]: part for part in parts if isinstance(part, Talk)}
        for name, value in samples.items():
            if name not in properties:
                type_ = fields.type_of(value)
                self._add(name, type_, ..., "")
                self._sample[self._inputs.new(name)] = value
        for name, read in texts.reads(_without_roles(body)).items():
            if name in self._inputs.given:
                continue
            line = self._before + texts.line_of(body, read.offset)
            type_ = "list(any)" if read.looped else "object" if read.keyed else "string"
            self._add(name, type_, fields.empty(type_)[1], "")
            self._report.changed(
                self._file, line, f"nothing declares {name!r}, so it was empty where nobody gave it", "it is an input with an empty default"
            )
        for name, talk in talking.items():
            self._talk(name, talk)

    def _input(self, name: str, said: Any, samples: dict[str, Any]) -> None:
        long = isinstance(said, dict) and bool({"type", "kind", "default", "sample", "example", "description"} & set(said))
        if not long:  # the value itself is the sample, and stands in where nobody gives one
            value = said
            self._add(name, fields.type_of(value), value if value is not None else ..., "")
            return
        word = str(said.get("type", said.get("kind", ""))).lower()
        type_ = fields.TYPES.get(word, "any") if word else fields.type_of(said.get("default", samples.get(name, "")))
        if word and word not in fields.TYPES:
            self._report.changed(*self._at("inputs", name), f"input {name!r} is of kind {word!r}", "it is `any` in the flow")
        default = said.get("default", ...)
        if default is not ...:
            fits, default = fields.fitting(default, type_)
            default = default if fits else ...
        if default is ... and (said.get("required") is False or type_ == "list(Message)"):
            _, default = fields.empty(type_)
        self._add(name, type_, default if default is not None else ..., str(said.get("description") or ""))
        if name in samples:
            fits, value = fields.fitting(samples[name], type_)
            if fits:
                self._sample[self._inputs.new(name)] = value

    def _add(self, name: str, type_: str, default: Any, description: str) -> None:
        if isinstance(default, str) and servers.env(default)[0]:
            default = ...
        self._draft.inputs[self._inputs.new(name)] = fields.field(type_, description=description, default=default)

    def _talk(self, name: str, talk: Talk) -> None:
        """The input of a talk is a list of messages."""
        new = self._inputs.new(name)
        held = self._draft.inputs.get(new)
        default = held.get("default", []) if isinstance(held, dict) else []
        made = talks.messages(default, talk.user, talk.assistant)
        if talk.user:
            self._report.changed(
                self._file,
                self._before + talk.line,
                f"{name!r} is a list of messages now: {{role, content}}",
                f"two for each pair of {talk.user} and {talk.assistant}",
            )
        self._draft.inputs[new] = fields.field("list(Message)", default=made or [])
        if new in self._sample:
            said = talks.messages(self._sample[new], talk.user, talk.assistant)
            self._sample[new] = said if said is not None else []

    # -- the step --

    def _step(self, body: str) -> dict[str, Any]:
        names = {old: f"inputs.{new}" for old, new in self._inputs.given.items()}
        threads = [
            old
            for old, held in self._draft.inputs.items()
            if held == "list(Message)" or (isinstance(held, dict) and held.get("type") == "list(Message)")
        ]
        body = self._threads(body, threads)
        reading = Reading(names, first="system", picture=self._picture)
        made = chats.messages(Template(body, self._file, self._before), reading, self._report)
        step = chats.body(made)
        return {**self._model(), **step}

    def _threads(self, body: str, threads: list[str]) -> str:
        """`{{thread}}` alone on a line stands for a talk, where that input is one."""
        for name in threads:
            body = re.sub(
                r"^[ \t]*\{\{-?\s*" + re.escape(name) + r"\s*-?\}\}[ \t]*$",
                f"{{% for m in {name} %}}\n{{{{m.role}}}}:\n{{{{m.content}}}}\n{{% endfor %}}",
                body,
                flags=re.MULTILINE,
            )
        return body

    def _picture(self, name: str) -> str:
        data = self._folder.picture(name)
        if not data:
            self._report.left(
                self._file, self._before + 1, f"the image {name!r} cannot be read", "give it as an input: address or data URL"
            )
            return ""
        value = plain(name.rpartition("/")[2])
        self._draft.files[f"{value}.txt"] = data
        self._draft.values[value] = {"file": f"{value}.txt"}
        return f"{{{{ values.{value} }}}}"

    def _output(self) -> dict[str, Any]:
        """Return the type of the answer: of the declared outputs, or of the format that the server was asked for."""
        said = self._given(self._said.get("outputs", self._said.get("outputSchema")), "outputs")
        if (
            isinstance(said, dict)
            and isinstance(said.get("properties"), (dict, list))
            and set(said) <= {"properties", "examples", "strict", "type", "required"}
        ):
            said = said["properties"]
        form = self._given(self._parameters().get("response_format"), "model")
        name = plain(self._draft.name)
        if said and not (isinstance(form, dict) and form.get("type") == "text"):
            try:
                return {"output": fields.written(fields.schema_of(said), name=name, types=self._draft.types)}
            except (SchemaUnsupported, AttributeError, TypeError) as error:
                self._report.left(*self._at("outputs"), f"the outputs: {error}", "write the type under `output`")
        if isinstance(form, dict) and (
            output := servers.output_of(form, name, self._draft, self._at("model", "parameters", "response_format"))
        ):
            return {"output": output}
        return {}

    def _parameters(self) -> dict[str, Any]:
        model = self._said.get("model")
        if not isinstance(model, dict):
            return {}
        found = self._given(model.get("parameters", model.get("options")), "model")
        if not isinstance(found, dict):
            return {}
        more = found.get("additionalProperties")
        return {k: v for k, v in found.items() if k != "additionalProperties"} | (more if isinstance(more, dict) else {})

    def _model(self) -> dict[str, Any]:
        said = self._said.get("model")
        if isinstance(said, dict) and str(said.get("api", said.get("apiType", "chat"))).lower() not in {
            "chat",
            "completion",
            "responses",
            "agent",
        }:
            self._report.left(
                *self._at("model"), f"the model makes {said.get('api', said.get('apiType'))!r}, no text", "call it from a Python function"
            )
        given = {k: v for k, v in self._parameters().items() if k not in {"response_format", "deployment_name", "model"}}
        self._tools(given.pop("tools", None))
        among = given.pop("tool_choice", None)
        if choice := self._said.get("tool_choice") or among:
            place = self._at("tool_choice") if self._said.get("tool_choice") else self._at_parameter("tool_choice")
            self._report.left(*place, "`tool_choice`", f"beside `tools:` of the step: `params: {{tool_choice: {json.dumps(choice)}}}`")
        params = servers.params(
            given, self._report, self._at("model", "parameters" if isinstance(said, dict) and "parameters" in said else "options")
        )
        alias = self._alias()
        return {**({"model": alias} if alias else {}), **({"params": params} if params else {})}

    def _tools(self, among_parameters: Any) -> None:
        """Tell which tools the file describes: flowkit calls functions, which nobody has written here."""
        said = self._said.get("tools")
        place = self._at("tools") if said else self._at_parameter("tools")
        told = said or among_parameters
        if not told:
            return
        names = servers.tool_names(self._given(told, "tools"))
        whence = f" in {told}" if isinstance(told, str) else ""
        way = "write a Python function for each, with a docstring, and name it on the step: `tools: [module:function]`"
        what = f"tools {', '.join(names)}{whence}" if names else f"the tools{whence}"
        self._report.left(*place, f"{what}: only described, there is no code that could be called", way)

    def _at_parameter(self, name: str) -> tuple[str, int]:
        model = self._said.get("model")
        return self._at("model", "parameters" if isinstance(model, dict) and "parameters" in model else "options", name)

    def _alias(self) -> str:
        said = self._said.get("model")
        models = Models(self._draft.models)
        if isinstance(said, str):
            return models.alias("openai", said) if servers.is_model(said) else self._no_model(said)
        held: dict[str, Any] = said if isinstance(said, dict) else {}
        conf: dict[str, Any] = next((held[key] for key in ("configuration", "connection") if isinstance(held.get(key), dict)), {})
        params = self._parameters()
        deployment = conf.get("azure_deployment") or params.get("deployment_name")
        name = deployment or held.get("id") or conf.get("model") or conf.get("name") or params.get("model") or ""
        kind = str(conf.get("type") or held.get("provider") or conf.get("kind") or "").lower()
        provider = _PROVIDERS.get(kind, "azure" if deployment else "openai")
        self._secrets(conf)
        name = servers.env(name)[1] or name
        if not servers.is_model(name):
            return self._no_model(str(name))
        address = conf.get("base_url") or conf.get("endpoint") or ""
        if provider == "azure" or not isinstance(address, str) or "${" in address:
            if isinstance(address, str) and "${" in address and provider != "azure":
                self._report.left(
                    *self._at("model"), f"the address of the server is {address}", "write `base_url` and `api_key_env` of the model"
                )
            address = ""
        key = servers.env(conf.get("api_key") or conf.get("apiKey") or conf.get("key"))[0]
        if provider == "azure" and (conf.get("azure_endpoint") or conf.get("endpoint")):
            self._azure(conf)
        return models.alias(provider, str(name), base_url=address, api_key_env=key if address else "")

    def _azure(self, conf: dict[str, Any]) -> None:
        for said, wanted in (
            (conf.get("azure_endpoint") or conf.get("endpoint"), "AZURE_OPENAI_ENDPOINT"),
            (conf.get("api_key") or conf.get("apiKey"), "AZURE_OPENAI_API_KEY"),
        ):
            if said and servers.env(said)[0] != wanted:
                self._report.changed(
                    *self._at("model"),
                    f"the server is {said!s:.60}" if wanted.endswith("ENDPOINT") else "the key of the server",
                    f"flowkit reads {wanted}",
                )

    def _secrets(self, conf: dict[str, Any]) -> None:
        for name in ("api_key", "apiKey", "key"):
            if conf.get(name) and not servers.env(conf[name])[0]:
                self._report.left(
                    *self._at("model"), f"{name!r} stands in the file", "a key is never written: set the variable that the provider reads"
                )

    def _no_model(self, name: str) -> str:
        what = f"the model is {name}" if name else "no model is named"
        way = "write `model: provider/name` on the step, or run with -m default=provider/name"
        (self._report.left if name else self._report.changed)(*self._at("model"), what, way)
        return ""


def _without_roles(body: str) -> str:
    """Return a body without its talks, whose lines print what is no variable of the prompt."""
    parts = roles.split(body, first="system").parts
    said = [part.text for part in parts if isinstance(part, Message)]
    return "\n".join([*said, *("{{ " + part.of + " }}" for part in parts if isinstance(part, Talk))])
