"""Write the generated parts of the docs: `python tests/docs_pages.py`. The tests compare them with what it would write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import click
from click.testing import CliRunner
from codes_checking import problems_of

from flowkit import reference
from flowkit.codes import FRAME, SECTIONS, Code, Example
from flowkit.console import problems
from flowkit.main import VERBS, cli

DOCS = Path(__file__).parent.parent / "docs"


def between(page: str, name: str, text: str) -> str:
    """Return a page with what stands between its markers replaced."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    assert found, f"the page lacks {begin}"
    assert closed, f"the page lacks {end}"
    return f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}"


# -- codes -------------------------------------------------------------------------------------------------


def errors(page: str) -> str:
    """Fill the page of problem codes."""
    return between(page, "codes", "\n".join(_codes()))


def _codes() -> Iterator[str]:
    frame = "\n".join(FRAME.values())
    yield f"```yaml\n{frame}\n```\n"
    for title, codes in SECTIONS.items():
        yield f"## {title}\n"
        yield " · ".join(f"[{name}](#{name})" for name in (code.code for code in codes)) + "\n"
        yield from (part for code in codes for part in _code(code))


def _code(code: Code) -> Iterator[str]:
    yield f"### `{code.code}`\n"
    yield f"{code.meaning}\n"
    yield from _example(code.bad, "Bad")
    said = problems.text(problems_of(code.bad), files=1).splitlines()[:-1]
    if code.bad.words is None:
        yield "```text\n" + "\n".join(said) + "\n```\n"
    yield from _example(code.good, "Good")


def _example(example: Example, title: str) -> Iterator[str]:
    if example.words is not None:
        yield f"{title}: {example.words}\n"
        return
    beside = [f"`{name}` holds `{held.strip()}`" for name, held in example.files.items() if isinstance(held, str)]
    around = [f"run with `--set {text}`" for text in example.sets] + [f"`{name}={value}` is set" for name, value in example.env.items()]
    where = "; ".join(around + [" / ".join(b.splitlines()) for b in beside])
    text = example.text.decode("utf-8", "surrogateescape") if isinstance(example.text, bytes) else example.text
    yield f"{title}{f' ({where})' if where else ''}:\n"
    yield f"```yaml\n{visible(text)}\n```\n"


def visible(text: str) -> str:
    """Write a text so that a reader sees each character of it, and bytes that are no UTF-8."""
    # A byte that is no UTF-8 was decoded to a surrogate above 0xDC00.
    numbers = ((char, ord(char) - 0xDC00 if 0xDC80 <= ord(char) <= 0xDCFF else ord(char)) for char in text.strip("\n"))
    return "".join(char if char == "\n" or char.isprintable() else f"⟨{number:02X}⟩" for char, number in numbers)


# -- commands ----------------------------------------------------------------------------------------------


def commands(page: str) -> str:
    """Fill the page of commands with the help of each."""
    texts = [_help()]
    for verb, said in VERBS.items():
        texts += [f"## `flowkit {verb}`\n\n{said}", *(_help(*words) for words in _lines(verb))]
    return between(page, "commands", "\n\n".join(texts))


def _lines(verb: str) -> Iterator[tuple[str, ...]]:
    """Yield a command, and the commands that it has of its own."""
    yield (verb,)
    command = cli.get_command(click.Context(cli), verb)
    if isinstance(command, click.Group):
        yield from ((verb, name) for name in command.commands)


def _help(*verb: str) -> str:
    # At a width of its own, whatever terminal this runs in.
    done = CliRunner().invoke(cli, [*verb, "--help"], prog_name="flowkit", terminal_width=100, max_content_width=100)
    assert done.exit_code == 0, done.output
    return f"```text\n{done.stdout.strip()}\n```"


# -- all pages ---------------------------------------------------------------------------------------------

PAGES: dict[str, Callable[[str], str]] = {"format.md": reference.filled, "errors.md": errors, "commands.md": commands}


if __name__ == "__main__":
    for name, fill in PAGES.items():
        page = DOCS / name
        page.write_text(fill(page.read_text(encoding="utf-8")), encoding="utf-8")
