"""Put text into HTML so that it stays text, whatever it says. Knows nothing of runs."""

from __future__ import annotations

import re
from html import escape

from flowkit import printable

#: Lines and characters up to which a text is open from the start.
_LINES, _CHARACTERS = 14, 1600
#: Characters of a text that is closed which are shown beside its name.
_PEEK = 110
#: What HTML forbids as a character at all.
_FORBIDDEN = re.compile("[\ufdd0-\ufdef\ufffe\uffff]")


def text(said: object) -> str:
    """Return text for a place inside a line, or inside an attribute."""
    return escape(_FORBIDDEN.sub("\ufffd", printable.line(str(said))))


def block(said: str) -> str:
    """Return text of many lines as it stands, for reading."""
    return f"<pre>{escape(_FORBIDDEN.sub(chr(0xFFFD), printable.block(said)), quote=False)}</pre>"


def folded(name: str, said: str, *, kind: str, note: str = "", opened: bool | None = None) -> str:
    """Return a text behind its name, open unless it is long. `kind` is a class of the style, `note` stands beside the name."""
    lines = said.count("\n") + 1
    short = len(said) <= _CHARACTERS and lines <= _LINES
    size = f"{lines} lines" if lines > 1 and not short else f"{len(said):,} characters" if not short else ""
    peek = "" if not said.strip() else f'<span class="peek">{text(said.strip()[:_PEEK])}</span>'
    facts = " · ".join(each for each in (note, size) if each)
    beside = f'<span class="fact">{text(facts)}</span>' if facts else ""
    mark = " open" if (short if opened is None else opened) else ""
    empty = '<p class="nothing">empty</p>'
    return (
        f'<details class="said {kind}"{mark}><summary><span class="who">{text(name)}</span>{beside}{peek}</summary>'
        f"{block(said) if said else empty}</details>"
    )
