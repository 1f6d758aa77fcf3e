"""Throw bytes at the readers of foreign text: any bytes give a value or an error that the reader declares. No part of the default run.

    pip install atheris
    python tests/fuzz_readers.py reply|source|template|answer [options of libFuzzer, such as -max_total_time=30]

A crash leaves its input beside, as `crash-…`; give that file as an option to see it again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["flowkit", "jinja2", "yaml"]):
    from flowkit import answers, source
    from flowkit.errors import ModelError, Problems
    from flowkit.templates.syntax import SyntaxProblem, parse_expression, parse_template
    from flowkit.types.algebra import ANY, BOOLEAN, NUMBER, STRING, Date, Enum, Field, Integer, List, Map, Record, union
    from flowkit.types.validators import Invalid, Validator
    from flowkit.wire.reply import Reader, usable

NOTE = Record((Field("title", STRING), Field("tags", List(STRING)), Field("score", Integer(0, 10), optional=True)), "Note")
VALIDATORS = [
    Validator(t) for t in (NOTE, STRING, BOOLEAN, NUMBER, Date(), Enum(("bug", "question")), List(NOTE), Map(ANY), ANY, union(NOTE, STRING))
]
MEDIA = ["", "text/event-stream", "application/json"]


def reply(data: bytes) -> None:
    """An answer in any pieces gives a Completion or a ModelError; its first two bytes say how it is asked for and cut."""
    how, size, body = data[0], data[1] or len(data), data[2:]
    reader = Reader(stream=bool(how & 1), content_type=MEDIA[(how >> 1) % 3])
    with suppress(ModelError):
        for start in range(0, len(body), size):
            reader.feed(body[start : start + size])
        usable(reader.finish(), typed=bool(how & 8))


def yaml_source(data: bytes) -> None:
    """A file gives a tree or at least one problem."""
    problems = Problems()
    found = source.parse(data, path=Path("f.yaml"), shown="f.yaml", problems=problems)
    if found.root is None and not problems.ordered():
        raise AssertionError("nothing was read and nothing said")
    if found.root is not None:
        source.plain(found.root)


def template(data: bytes) -> None:
    """A template or an expression gives a tree or a SyntaxProblem whose place lies inside of it."""
    text = data[1:].decode("utf-8", "replace")
    try:
        (parse_expression if data[0] & 1 else parse_template)(text)
    except SyntaxProblem as problem:
        if not 0 <= problem.start <= problem.end <= len(text) + 1:
            raise AssertionError(f"{problem.start}:{problem.end} lies outside of {len(text)} characters") from problem


def answer(data: bytes) -> None:
    """A reply gives a value that its own type takes, or Invalid, of which a question can be made."""
    how, text = data[0], data[1:].decode("utf-8", "surrogateescape" if data[0] & 64 else "replace")
    validator = VALIDATORS[(how & 31) % len(VALIDATORS)]
    try:
        found = answers.read(text, validator, wrapped=bool(how & 32))
    except Invalid as error:
        answers.reask(error.errors)
    else:
        validator.value(found.value)


#: Each with how many bytes of its input are not text.
TARGETS: dict[str, tuple[Callable[[bytes], None], int]] = {
    "reply": (reply, 2),
    "source": (yaml_source, 0),
    "template": (template, 1),
    "answer": (answer, 1),
}


def main() -> None:
    """Fuzz the reader that is named until it crashes or time is up."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        raise SystemExit(f"usage: fuzz_readers.py {'|'.join(TARGETS)} [options of libFuzzer]")
    target, least = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, lambda data: target(data) if len(data) >= least else None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
