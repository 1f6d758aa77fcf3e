"""Turn the bytes of a file into text that YAML readers agree about, or into the first problem. Knows characters, not YAML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flowkit.source.tree import SourceFile

if TYPE_CHECKING:
    from pathlib import Path

    from flowkit.errors import Problems

#: Bytes of the largest file that is read: a prompt of a megabyte fits, a data set does not.
LARGEST_FILE = 2 * 1024 * 1024

_BOM = "\ufeff"
#: What YAML does not call printable, and what its readers disagree about: some of them end a line at U+0085, U+2028 and U+2029.
_FORBIDDEN = re.compile("[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_LINE_SEPARATORS = {"\x85", "\u2028", "\u2029"}
#: Embedding, overriding and isolating controls, which can show a text in another order than a model reads it (Trojan Source).
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_CONFLICT = re.compile(r"^<{7}(?: .*)?$", re.MULTILINE)
_CONFLICT_END = re.compile(r"^(?:={7}|>{7}(?: .*)?)$", re.MULTILINE)


def decode(data: bytes | str, *, path: Path, shown: str, problems: Problems) -> tuple[str | None, SourceFile]:
    """Return the text with plain line feeds and its file, or None and the file as far as it can be shown.

    A mark of byte order at the start and CRLF are tolerated: the text is the same without them.
    """
    if len(data) > LARGEST_FILE:
        file = SourceFile(path, shown, ("",))
        message = f"the file holds {len(data) / 1024 / 1024:.1f} MiB; a flow file may hold {LARGEST_FILE // 1024 // 1024} MiB"
        problems.error("file-too-large", file.place(1, 1), message, "keep data in files of their own, or give it as an input")
        return None, file
    text = data if isinstance(data, str) else _utf8(data, path, shown, problems)
    if isinstance(text, SourceFile):
        return None, text
    text = _plain_breaks(text)
    if wrong := _FORBIDDEN.search(text):
        file = _shown_file(text, path, shown)
        line, column = text.count("\n", 0, wrong.start()) + 1, wrong.start() - text.rfind("\n", 0, wrong.start())
        code, message, hint = _forbidden(wrong.group())
        problems.error(code, file.place(line, column), message, hint)
        return None, file
    file = SourceFile(path, shown, tuple(text.split("\n")))
    if not text.isascii():
        _warn_of_bidi(file, problems)
    if "<<<<<<<" in text and (conflict := _CONFLICT.search(text)) and _CONFLICT_END.search(text, conflict.end()):
        line = text.count("\n", 0, conflict.start()) + 1
        message = "merge conflict markers of git were left in the file"
        hint = "choose one side and delete the lines <<<<<<<, ======= and >>>>>>>"
        problems.error("merge-conflict", file.place(line, 1, 8), message, hint)
        return None, file
    return text, file


def _utf8(data: bytes, path: Path, shown: str, problems: Problems) -> str | SourceFile:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        wrong = error
    before = _plain_breaks(data[: wrong.start].decode("utf-8"))
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    file = _shown_file(_plain_breaks(data.decode("utf-8", "replace")), path, shown)
    seems = ""
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        seems = " (it looks like UTF-16)"
    elif b"\0" in data[:4096]:
        seems = " (this seems to be no text file)"
    message = f"byte 0x{data[wrong.start]:02x} is not UTF-8{seems}"
    problems.error("not-utf8", file.place(line, column), message, "save the file as UTF-8")
    return file


def _plain_breaks(text: str) -> str:
    return text.removeprefix(_BOM).replace("\r\n", "\n").replace("\r", "\n")


def _shown_file(text: str, path: Path, shown: str) -> SourceFile:
    """Return the file for messages about it, without the characters that could do harm on a terminal."""
    return SourceFile(path, shown, tuple(_FORBIDDEN.sub("\ufffd", text).split("\n")))


def _forbidden(char: str) -> tuple[str, str, str]:
    name = f"U+{ord(char):04X}"
    if char == _BOM:
        return (
            "byte-order-mark",
            f"{name}, a mark of byte order, stands inside the file",
            "delete it; files joined with 'cat' leave one at each seam",
        )
    if char in _LINE_SEPARATORS:
        return (
            "line-separator",
            f"{name} is a line break for some readers and a letter for others",
            f'use a plain line break, or write "\\u{ord(char):04x}" in double quotes',
        )
    if "\ud800" <= char <= "\udfff":
        return "lone-surrogate", f"{name} is half of a character", "write the whole character, or its escape such as \\U0001F600"
    return (
        "control-character",
        f"{name} is a control character, which a text file may not hold",
        f'delete it, or write "\\x{ord(char):02x}" in double quotes; is this a text file?' if ord(char) < 0x100 else "delete it",
    )


def _warn_of_bidi(file: SourceFile, problems: Problems) -> None:
    for number, line in enumerate(file.lines, 1):
        if not line.isascii() and (found := _BIDI.search(line)):
            names = ", ".join(f"U+{ord(char):04X}" for char in dict.fromkeys(_BIDI.findall(line)))
            message = f"{names}: this line holds bidi controls, which can show a text in another order than a model reads it"
            hint = 'delete them, or write them as escapes such as "\\u202e" so that a reviewer sees them'
            problems.warning("bidi-control", file.place(number, found.start() + 1), message, hint)
