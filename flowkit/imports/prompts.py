"""Turn prompt nodes of Prompt flow into text where it is read, or into steps that give it. Renders nothing."""

from __future__ import annotations

import re
from typing import Any

from jinja2 import nodes as jinja

from flowkit.imports import chats, roles, texts
from flowkit.imports.context import Context
from flowkit.imports.dag import Node
from flowkit.project import PathRefused
from flowkit.templates.syntax import SyntaxProblem, parse_template

#: The file of functions that render what no expression can say.
FILE = "imported_prompts.py"
_HEAD = '''\
"""Texts that Python functions need, rendered from templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2


def _rendered(name: str, **values: Any) -> str:
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    return jinja2.Template(text, trim_blocks=True, keep_trailing_newline=True).render(**values)
'''
#: Longest template that is written as one expression.
_LONGEST = 2000


class Prompts:
    """The templates of a flow."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def text(self, node: Node) -> str | None:
        """Return the template of a node, or None when it cannot be read, which is reported."""
        try:
            return self._context.folder.text(node.path)
        except PathRefused as refused:
            self._context.left(node.path_line, refused.message, refused.hint or "put the file there, and import again")
            return None

    def inline(self, node: Node, settings: frozenset[str]) -> str | None:
        """Return the template of a model node, with the text of prompt nodes where it prints them."""
        text = self.text(node)
        if text is None:
            return None
        for name, value in node.inputs.items():
            refers = value.reference
            prompt = self._context.dag.get(refers.node) if refers and refers.node and not refers.path and name not in settings else None
            if (
                prompt is None
                or prompt.kind != "prompt"
                or prompt.name in self._context.skippable
                or prompt.name in self._context.dag.variants
            ):
                continue
            printed = re.compile(r"\{\{-?\s*" + re.escape(name) + r"\s*-?\}\}")
            if name not in texts.reads(printed.sub("", text)) and printed.search(text):
                parts = printed.split(text)
                text = self.written(prompt).rstrip("\n").join(parts)
        return text

    def written(self, prompt: Node) -> str:
        """Return the text of a prompt node in the words of the flow."""
        inner = self.inline(prompt, frozenset())
        if inner is None:
            return ""
        file = self._context.folder.shown(prompt.path)
        known = absent_names(inner, self._context.names(prompt, {}), self._context, file)
        text, troubles = texts.rewrite(inner, known)
        for trouble in troubles:
            self._context.left(trouble.line, trouble.what, trouble.way, file=file)
        return text

    def step(self, node: Node) -> dict[str, Any]:
        """Return a step that gives the text of a prompt node: an expression, or a function where that cannot say it."""
        text = self.inline(node, frozenset())
        if text is None:
            return {"set": "''"}
        file = self._context.folder.shown(node.path)
        if roles.has_roles(text):
            way = "where a model gets this text, write its messages on the step that asks it"
            self._context.changed(1, f"the text of {node.name!r} is a value, so its role lines are text", way, file=file)
        known = absent_names(text, self._context.names(node, {}), self._context, file)
        said = as_expression(text, known)
        if said is not None:
            return {"set": chats.block(said), "output": "string"}
        return self._function(node, self.text(node) or "", file)

    def _function(self, node: Node, text: str, file: str) -> dict[str, Any]:
        """Render in Python: other prompts come as values, since a function sees nothing of the flow."""
        known = absent_names(text, self._context.names(node, {}), self._context, file)
        draft, name = self._context.draft, self._context.steps.new(node.name)
        path = f"{name}.jinja2"
        draft.files[path] = text
        wanted = [variable for variable in texts.reads(text) if variable in known]
        held = draft.files.get(FILE, _HEAD)
        assert isinstance(held, str)
        head = ", ".join(f"{variable}: Any" for variable in wanted)
        given = "".join(f", {variable}={variable}" for variable in wanted)
        draft.files[FILE] = f'{held}\n\ndef {name}({head}) -> str:\n    return _rendered("{path}"{given})\n'
        step: dict[str, Any] = {"call": f"{FILE.removesuffix('.py')}:{name}"}
        if wanted:
            step["with"] = {variable: known[variable] for variable in wanted}
        return step


def absent_names(text: str, known: dict[str, str], context: Context, file: str) -> dict[str, str]:
    """Return the names of a template with what nobody gives it: Prompt flow printed nothing for that."""
    for name, read in texts.reads(text).items():
        if name in known or name in {"inputs", "steps", "values"}:
            continue
        known[name] = "[]" if read.looped else "{}" if read.keyed else "''"
        context.changed(
            texts.line_of(text, read.offset),
            f"nothing gives {name!r}, so it was empty",
            f"it stands as {known[name]} in the flow",
            file=file,
        )
    return known


def as_expression(text: str, known: dict[str, str]) -> str | None:
    """Return a template of text and prints as an expression, or None."""
    text = re.sub(r"\{#.*?#\}\n?", "", text, flags=re.DOTALL)
    try:
        tree = parse_template(text)
    except SyntaxProblem:
        return None
    if any(not isinstance(part, jinja.Output) for part in tree.body) or len(text) > _LONGEST or "{%" in text:
        return None
    pieces: list[str] = []
    at = 0
    for found in re.finditer(r"\{\{-?(.*?)-?\}\}", text, re.DOTALL):
        pieces += _lines(text[at : found.start()])
        inner, troubles = texts.expression(found[1].strip(), known)
        if troubles:
            return None
        pieces.append(inner if re.fullmatch(r"[\w.]+|\(.*\)", inner) else f"({inner})")
        at = found.end()
    pieces += _lines(text[at:].removesuffix("\n"))
    return "\n~ ".join(pieces) or "''"


def _lines(text: str) -> list[str]:
    """Return a text as literals of a line each; empty lines stand with the one before."""
    return [texts.literal(line) for line in re.findall(r"[^\n]*\n+|[^\n]+", text)]
