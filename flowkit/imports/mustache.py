"""Turn a Mustache template into Jinja, as far as its sections are plain lists, conditions or records. Renders nothing."""

from __future__ import annotations

import re
from collections.abc import Collection

from flowkit.imports.texts import Trouble, line_of

_TAG = re.compile(r"\{\{\{\s*(?P<triple>[\w.$-]+|\.)\s*\}\}\}|\{\{\s*(?P<sign>[#^/!>&=]?)(?P<body>.*?)\}\}", re.DOTALL)
#: Signs of tags that are not turned: what they are, and what Jinja has for them.
_STRANGE = {">": ("a partial", "{% include 'file' %}"), "=": ("a change of delimiters", "{{ and {% are its only ones")}
_NAME = re.compile(r"[A-Za-z_][\w.]*|\.")


def to_jinja(text: str, *, lists: Collection[str] = ()) -> tuple[str, list[Trouble]]:
    """Return the template in Jinja. `lists` are names of variables known to be lists.

    A section `{{#x}}` is a loop where `x` is a list or its body prints `{{.}}`, else a condition; names in a loop are those of its item
    where the template itself does not read them outside. What cannot be turned stays out, and is told.
    """
    done: list[str] = []
    troubles: list[Trouble] = []
    open_: list[tuple[str, str]] = []
    at = 0
    for tag in _TAG.finditer(text):
        done.append(_raw(text[at : tag.start()]))
        at = tag.end()
        name = (tag["triple"] or tag["body"]).strip()
        sign = "&" if tag["triple"] else tag["sign"]
        line = line_of(text, tag.start())
        if sign == "!":
            done.append("{# " + name.replace("#}", "") + " #}")
        elif sign in {">", "="} or not _NAME.fullmatch(name):
            what, way = _STRANGE.get(
                sign, ("no plain name", "{% for item in inputs.NAME %}…{% endfor %} or {% if inputs.NAME %}…{% endif %}")
            )
            troubles.append(Trouble(line, f"Mustache: {what}, {tag[0]!r}, is left out", f"write it in Jinja: {way}"))
        elif sign in {"", "&"}:
            done.append("{{ " + _read(name, open_) + " }}")
        elif sign == "/":
            if open_ and open_[-1][0] == name:
                kind = open_.pop()[1]
                done.append("{% endfor %}" if kind == "for" else "{% endif %}")
            else:
                troubles.append(Trouble(line, f"Mustache: {tag[0]!r} closes nothing", "take it out"))
        else:
            done.append(_opened(sign, name, text[at:], open_, lists))
    done.append(_raw(text[at:]))
    for name, kind in reversed(open_):
        done.append("{% endfor %}" if kind == "for" else "{% endif %}")
        troubles.append(Trouble(line_of(text, len(text)), f"Mustache: section {name!r} is never closed", "it was closed at the end"))
    return "".join(done), troubles


def _opened(sign: str, name: str, after: str, open_: list[tuple[str, str]], lists: Collection[str]) -> str:
    path = _read(name, open_)
    if sign == "^":
        open_.append((name, "if"))
        return "{% if not " + path + " %}"
    inner = re.split(r"\{\{\s*/\s*" + re.escape(name) + r"\s*\}\}", after, maxsplit=1)[0]
    if name in lists or re.search(r"\{\{\s*\.\s*\}\}", inner):
        open_.append((name, "for"))
        return "{% for item" + str(_depth(open_)) + " in " + path + " %}"
    open_.append((name, "if"))
    return "{% if " + path + " %}"


def _depth(open_: list[tuple[str, str]]) -> str:
    depth = sum(kind == "for" for _, kind in open_)
    return "" if depth <= 1 else str(depth)


def _read(name: str, open_: list[tuple[str, str]]) -> str:
    loops = [entry for entry in open_ if entry[1] == "for"]
    if name == ".":
        return f"item{_depth(open_)}" if loops else "item"
    return f"item{_depth(open_)}.{name}" if loops else name


def _raw(text: str) -> str:
    """Text that means nothing to Mustache but something to Jinja."""
    return re.sub(r"\{[%#]", lambda found: "{{ '" + found[0] + "' }}", text)
