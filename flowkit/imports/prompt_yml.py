"""Turn a `.prompt.yml` file of GitHub Models into a draft: messages, model, and its test data with evaluators as tests. Calls nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from flowkit import source
from flowkit.imports import chats, fields, files, servers, texts
from flowkit.imports.draft import Draft, Unreadable
from flowkit.imports.fields import SchemaUnsupported
from flowkit.imports.files import Folder
from flowkit.imports.names import Names, plain
from flowkit.imports.roles import ROLES
from flowkit.imports.servers import Models

_PLACE = re.compile(r"\{\{\s*([\w.-]+)\s*\}\}")
#: What other template languages would take for a tag.
_TAG = re.compile(r"\{\{[^{}\n]*\}\}")
_KNOWN = frozenset("name description model modelParameters messages testData evaluators responseFormat jsonSchema".split())
#: Their words for a text, and promptfoo's.
_STRINGS = {"equals": "equals", "contains": "contains", "startsWith": "starts-with"}


def read(path: Path, *, cwd: Path) -> Draft:
    """Read a file. Raises Unreadable and PathRefused."""
    if path.is_dir():
        raise Unreadable(f"{path} is a folder; name a .prompt.yml file")
    folder = Folder(path.parent, cwd=cwd)
    shown = folder.shown(path.name)
    root = files.tree(folder.text(path.name), path, shown)
    if not isinstance(root, source.Mapping) or not isinstance(root.get("messages"), source.Sequence):
        raise Unreadable(f"{shown}: there are no `messages` in it")
    return _Import(root, shown, re.sub(r"\.prompt\.ya?ml$|\.ya?ml$", "", path.name)).run()


class _Import:
    """One import of one file."""

    def __init__(self, root: source.Mapping, file: str, stem: str) -> None:
        self._root = root
        self._file = file
        self._said: dict[str, Any] = files.plain(root)
        self._draft = Draft(plain(str(self._said.get("name") or stem)).replace("_", "-") or "prompt", file)
        self._inputs = Names(kind="input", small=False)

    def run(self) -> Draft:
        draft, said = self._draft, self._said
        for entry in self._root.entries:
            if entry.key.text not in _KNOWN:
                draft.report.left(self._file, entry.key.line, f"key {entry.key.text!r}", "flowkit knows no such thing")
        draft.description = " ".join(str(said.get("description") or "").split())
        made = self._messages()
        rows = self._rows()
        for name in dict.fromkeys(key for row in rows for key in row):
            if name not in {"expected", "evaluators"} and name not in self._inputs.given:
                draft.report.changed(
                    self._file, self._line("testData"), f"{name!r} stands in the test data, but no message reads it", "it is left out"
                )
        for old, new in self._inputs.given.items():
            values = [row[old] for row in rows if old in row]
            kinds = {fields.type_of(value) for value in values} or {"string"}
            draft.inputs[new] = next(iter(kinds)) if len(kinds) == 1 else "any"
        draft.steps["answer"] = {**self._model(), **chats.body(made), **self._output()}
        draft.report.converted["answer"] = "the messages"
        draft.outputs = chats.outputs("answer", draft.steps["answer"].get("output"))
        draft.report.renamed = self._inputs.renamed()
        self._tests(rows)
        return draft

    def _rows(self) -> list[dict[str, Any]]:
        """Return the rows of test data; what is none is told, and empty."""
        data = self._said.get("testData")
        if data and not isinstance(data, list):
            self._draft.report.left(self._file, self._line("testData"), "`testData` is no list", "write rows, each with the inputs by name")
        return [self._row(row) if isinstance(row, dict) else {} for row in data] if isinstance(data, list) else []

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row; some hold their values in a mapping under `input`."""
        held = row.get("input")
        return (
            {**{k: v for k, v in row.items() if k != "input"}, **held}
            if isinstance(held, dict) and "input" not in self._inputs.given
            else row
        )

    def _line(self, key: str) -> int:
        held = self._root.key(key)
        return held.line if held is not None else 1

    def _messages(self) -> list[dict[str, Any]]:
        messages = self._root.get("messages")
        assert isinstance(messages, source.Sequence)
        made: list[dict[str, Any]] = []
        for item in messages.items:
            said = files.plain(item)
            role = ROLES.get(str(said.get("role", "")).lower()) if isinstance(said, dict) else None
            content = said.get("content") if isinstance(said, dict) else None
            if role is None or role == "tool" or not isinstance(content, str):
                self._draft.report.left(
                    self._file,
                    item.line,
                    f"a message of role {said.get('role') if isinstance(said, dict) else said!r}",
                    "write it under `messages:`",
                )
                continue
            held = item.get("content") if isinstance(item, source.Mapping) else None
            if isinstance(held, source.Scalar):
                self._sections(held)
            made.append({role: chats.block(self._text(content))})
        return made or [{"user": "{{ '' }}"}]

    def _sections(self, content: source.Scalar) -> None:
        """Tell what looks like more than a placeholder: sections of Mustache, helpers, expressions."""
        for found in _TAG.finditer(content.text):
            if not _PLACE.fullmatch(found[0]):
                self._draft.report.left(
                    self._file,
                    content.locate(found.start())[0],
                    f"{found[0]!r} is no placeholder, so the model gets it as text",
                    "write it in Jinja: {% for item in inputs.NAME %}…{% endfor %}, {% if inputs.NAME %}…{% endif %}",
                )

    def _text(self, content: str) -> str:
        """Return a text in Jinja: placeholders are inputs, all else is text as it stands."""
        done: list[str] = []
        at = 0
        for found in _PLACE.finditer(content):
            done += [_raw(content[at : found.start()]), "{{ inputs." + self._inputs.new(found[1]) + " }}"]
            at = found.end()
        text = texts.no_dollars("".join([*done, _raw(content[at:])]).strip("\n"))
        return text if text.strip() else "{{ '' }}"

    def _model(self) -> dict[str, Any]:
        said = self._said.get("model")
        given = self._said.get("modelParameters")
        params = servers.params(given if isinstance(given, dict) else {}, self._draft.report, (self._file, self._line("modelParameters")))
        if not servers.is_model(said):
            self._draft.report.changed(self._file, self._line("model"), "no model is named", "run with -m default=provider/name")
            return {"params": params} if params else {}
        alias = Models(self._draft.models).alias("github", str(said))
        return {"model": alias, **({"params": params} if params else {})}

    def _output(self) -> dict[str, Any]:
        form, schema = self._said.get("responseFormat"), self._said.get("jsonSchema")
        if not form or form == "text":
            return {}
        if isinstance(schema, str):
            try:
                schema = json.loads(schema)
            except ValueError:
                schema = self._yaml(schema)
        place = (self._file, self._line("jsonSchema" if schema else "responseFormat"))
        output = servers.output_of({"type": str(form), "json_schema": schema}, plain(self._draft.name), self._draft, place)
        return {"output": output} if output else {}

    def _yaml(self, text: str) -> Any:
        """Some write the schema in YAML."""
        try:
            return files.plain(files.tree(text, Path(self._file), self._file))
        except (Unreadable, SchemaUnsupported) as error:
            self._draft.report.left(
                self._file, self._line("jsonSchema"), f"the schema cannot be read: {error}", "write the type under `output`"
            )
            return None

    # -- tests --

    def _tests(self, rows: list[dict[str, Any]]) -> None:
        evaluators = self._evaluators(self._root.get("evaluators"))
        if not rows:
            for said, line in evaluators:
                way = (
                    "add rows, and import again" if self._inputs.given else "add `testData: [{}]`, one row without inputs, and import again"
                )
                self._draft.report.left(self._file, line, f"evaluator {said.get('name', '?')!r}: there is no `testData` to judge", way)
        items = self._root.get("testData")
        nodes = items.items if isinstance(items, source.Sequence) else ()
        for number, (row, node) in enumerate(zip(rows, nodes, strict=False), 1):
            own = self._evaluators(node.get("evaluators")) if isinstance(node, source.Mapping) else []
            inputs = {self._inputs.given[name]: value for name, value in row.items() if name in self._inputs.given}
            if missing := [name for name in self._inputs.given if name not in row]:
                self._draft.report.left(
                    self._file, node.line, f"row {number} says nothing of {', '.join(missing)}", "add it to the row, and import again"
                )
                continue
            held = [made | self._beside for said, line in [*evaluators, *own] for made in self._assertions(said, row, line)]
            self._draft.tests.append({"name": f"row {number}", "inputs": inputs, **({"assert": held} if held else {})})

    @property
    def _beside(self) -> dict[str, str]:
        """What an assertion has beside its word: a flow of one output is judged by that alone, evaluators judge the whole answer."""
        output = self._draft.steps["answer"].get("output")
        return {"step": "answer"} if isinstance(output, dict) and len(output) == 1 else {}

    def _evaluators(self, node: source.Node | None) -> list[tuple[dict[str, Any], int]]:
        items = node.items if isinstance(node, source.Sequence) else ()
        for other in items:
            if not isinstance(other, source.Mapping):
                self._draft.report.left(self._file, other.line, "an evaluator without a name", "write it under `assert:` of the test")
        if files.plain(node) and not isinstance(node, source.Sequence):
            self._draft.report.left(self._file, files.line(node), "`evaluators` is no list", "write each with `-`, and import again")
        return [(files.plain(item), item.line) for item in items if isinstance(item, source.Mapping)]

    def _assertions(self, said: dict[str, Any], row: dict[str, Any], line: int) -> list[dict[str, Any]]:
        """Return the assertions of an evaluator for one row."""
        name = said.get("name", "?")
        if isinstance(said.get("string"), dict):
            made: list[dict[str, Any]] = []
            for word, value in said["string"].items():
                text = _filled(str(value), row)
                if word in _STRINGS:
                    made.append({_STRINGS[word]: text})
                elif word == "endsWith":
                    made.append({"regex": re.sub(r"([.^$*+?{}\[\]\\|()])", r"\\\1", text) + r"\s*\Z"})
                else:
                    self._draft.report.left(self._file, line, f"evaluator {name!r}: {word!r}", "write it as `expr` or `regex` in the test")
            return made
        if isinstance(said.get("regex"), dict) and isinstance(said["regex"].get("pattern"), str):
            return [{"regex": said["regex"]["pattern"]}]
        if said.get("uses") == "github/similarity" and "expected" in row:
            self._draft.report.changed(
                self._file,
                line,
                f"evaluator {name!r} asked a model how alike answer and `expected` are",
                "`similar` compares their letters without a model, and `threshold: 0.5` is a guess: set your own, or write `llm-rubric`",
            )
            return [{"similar": str(row["expected"]), "threshold": 0.5}]
        if isinstance(said.get("llm"), dict):
            held = said["llm"]
            prompt = "\n\n".join(str(held[key]).strip() for key in ("systemPrompt", "prompt") if held.get(key))
            rubric = _filled(prompt.replace("{{completion}}", "the answer").replace("{{ completion }}", "the answer"), row)
            self._draft.report.changed(
                self._file,
                line,
                f"evaluator {name!r} asked a model for one of its `choices`, each with a score",
                "`llm-rubric` asks a model how far a statement about the answer holds, from 0 to 1; the choices are left out: "
                "make its text such a statement, and write the least score as `threshold`",
            )
            return [{"llm-rubric": chats.block(rubric), **self._judge(held.get("modelId"))}]
        self._draft.report.left(
            self._file,
            line,
            f"evaluator {name!r}" + (f": {said['uses']}" if said.get("uses") else ""),
            "write it as `llm-rubric`, `expr` or `python` in the test",
        )
        return []

    def _judge(self, model: Any) -> dict[str, str]:
        """Return the model that judges: the one that is named, else that of the prompt."""
        name = model if isinstance(model, str) and model else self._said.get("model")
        return {"model": Models(self._draft.models).alias("github", str(name))} if servers.is_model(name) else {}


def _raw(text: str) -> str:
    """Text that means nothing in these files, but something in Jinja; so does a brace before a placeholder."""
    return re.sub(r"\{(?:[{%#]|\Z)", lambda found: "{{ " + texts.literal(found[0]) + " }}", text)


def _filled(text: str, row: dict[str, Any]) -> str:
    return _PLACE.sub(lambda found: str(row.get(found[1], found[0])), text)
