"""Write the generated parts of the docs: `python tests/docs_pages.py`. The tests compare them with what it would write."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from codes_checking import problems_of

from flowkit import reference
from flowkit.codes import CODES, FRAME, SECTIONS, Code, Example
from flowkit.console import problems

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
    for title, names in SECTIONS.items():
        yield f"## {title}\n"
        yield " · ".join(f"[{name}](#{name})" for name in names) + "\n"
        yield from (part for name in names for part in _code(CODES[name]))


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
    around = [f"`{name}={value}` is set" for name, value in example.env.items()]
    where = "; ".join(around + [" / ".join(b.splitlines()) for b in beside])
    text = example.text.decode("utf-8", "surrogateescape") if isinstance(example.text, bytes) else example.text
    yield f"{title}{f' ({where})' if where else ''}:\n"
    yield f"```yaml\n{visible(text)}\n```\n"


def visible(text: str) -> str:
    """Write a text so that a reader sees each character of it, and bytes that are no UTF-8."""
    # A byte that is no UTF-8 was decoded to a surrogate above 0xDC00.
    numbers = ((char, ord(char) - 0xDC00 if 0xDC80 <= ord(char) <= 0xDCFF else ord(char)) for char in text.strip("\n"))
    return "".join(char if char == "\n" or char.isprintable() else f"⟨{number:02X}⟩" for char, number in numbers)


# -- all pages ---------------------------------------------------------------------------------------------

PAGES: dict[str, Callable[[str], str]] = {"format.md": reference.filled, "errors.md": errors}


def stale() -> list[str]:
    """Return the pages that do not hold what would be written."""
    return [name for name, fill in PAGES.items() if fill(text := (DOCS / name).read_text(encoding="utf-8")) != text]


if __name__ == "__main__":
    os.environ.pop("OPENAI_BASE_URL", None)
    for name, fill in PAGES.items():
        page = DOCS / name
        page.write_text(fill(page.read_text(encoding="utf-8")), encoding="utf-8")
