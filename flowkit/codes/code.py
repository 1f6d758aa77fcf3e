"""What the catalogue knows of one code. Knows no file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from textwrap import dedent

#: What stands behind an example that lacks it, so that examples show only what matters. The lines of the example keep their numbers.
FRAME: Mapping[str, str] = {
    "flowkit": "flowkit: 1",
    "defaults": "defaults: {model: openai/gpt-4.1-mini}",
    "steps": "steps: {reply: {prompt: Hello.}}",
}

_TOP_KEY = re.compile(r"^(\w+):", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Example:
    """A flow, or the lines of it that matter; the rest is `FRAME`."""

    text: str | bytes
    #: Files beside it; a number stands for a file of so many letters.
    files: Mapping[str, str | int] = field(default_factory=dict)
    #: The environment, where it matters.
    env: Mapping[str, str] = field(default_factory=dict)
    #: What `--set` says over it.
    sets: tuple[str, ...] = ()
    #: Whether the text is the whole file.
    alone: bool = False
    #: Whether it is a file of replies of the simulator, and no flow.
    replies: bool = False
    #: What to say of a text that is too large to show.
    words: str | None = None
    #: Other codes that this example cannot do without.
    others: frozenset[str] = frozenset()

    def whole(self) -> bytes:
        """Return the file as it is checked."""
        if isinstance(self.text, bytes):
            return self.text
        if self.alone or self.replies:
            return self.text.encode("utf-8", "surrogatepass")
        present = set(_TOP_KEY.findall(self.text))
        lines = [line for key, line in FRAME.items() if key not in present]
        return "\n".join([self.text.rstrip("\n"), *lines, ""]).encode()


@dataclass(frozen=True, slots=True)
class Code:
    """One code: its meaning in a line, a flow that has it, and the same made good."""

    code: str
    meaning: str
    bad: Example
    good: Example

    @classmethod
    def of(cls, code: str, meaning: str, bad: str | Example, good: str | Example) -> Code:
        """Return a code whose examples may be plain texts, indented like the code around them."""
        return cls(code, meaning, _example(bad), _example(good))


def _example(written: str | Example) -> Example:
    found = written if isinstance(written, Example) else Example(written)
    return found if isinstance(found.text, bytes) else replace(found, text=dedent(found.text).strip("\n"))
