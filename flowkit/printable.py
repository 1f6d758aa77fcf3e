"""Turn any text or figure into what a screen may show, and measure it. Knows nothing of terminals or of what it means."""

from __future__ import annotations

import json
import re
from typing import Any
from unicodedata import category, east_asian_width

_SPACES = re.compile(r"[\t\n\v\f\r\u0085\u2028\u2029]+")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROLS_OF_BLOCK = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
#: Characters that nobody sees, or that turn the order of what is seen; joiners that scripts and emoji need are not among them.
#: Characters that show text in another order than it stands in (Trojan Source).
_REORDERING = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
_HIDDEN = re.compile(r"[\u00ad\u200b\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
#: Legal inside JSON text, but a terminal obeys the first, line readers split at the second, and UTF-8 has no form for the third.
_RAW_IN_JSON = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


def line(text: str) -> str:
    """Return text for a place inside one line: line ends become a space, control and hidden characters a visible sign."""
    return _HIDDEN.sub("\ufffd", _CONTROLS.sub(_picture, _SPACES.sub(" ", text)))


def block(text: str) -> str:
    """Return text of any number of lines of which a terminal obeys nothing but line ends and tabs."""
    return _REORDERING.sub("\ufffd", _CONTROLS_OF_BLOCK.sub(_picture, text.replace("\r\n", "\n")))


def encodable(text: str) -> str:
    """Return text that UTF-8 can write: lone surrogates become U+FFFD."""
    return _SURROGATES.sub("\ufffd", text)


def ascii_only(text: str) -> str:
    """Return text for a screen that knows ASCII alone, other characters as Python escapes."""
    return text if text.isascii() else text.encode("ascii", "backslashreplace").decode("ascii")


def json_text(data: Any, *, indent: int | None = None) -> str:
    """Return data as JSON that is safe on a terminal and in UTF-8. A number that JSON does not have is null."""
    try:
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, indent=indent)
    except ValueError:  # NaN or infinity, from a function of the flow: losing a paid run for it would be worse
        text = json.dumps(_finite(data), ensure_ascii=False, indent=indent)
    return _RAW_IN_JSON.sub(lambda found: "\ufffd" if found[0] >= "\ud800" else f"\\u{ord(found[0]):04x}", text)


def _finite(data: Any) -> Any:
    match data:
        case float():
            return data if data - data == 0 else None
        case dict():
            return {key: _finite(value) for key, value in data.items()}
        case list() | tuple():
            return [_finite(value) for value in data]
    return data


def width(text: str) -> int:
    """Return how many terminal columns a text takes: two for East Asian wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(char: str) -> int:
    if char < "\u0300":
        return 1
    if "\u1160" <= char <= "\u11ff" or category(char) in {"Mn", "Me", "Cf"}:  # Hangul vowels join the syllable before them
        return 0
    return 2 if east_asian_width(char) in {"W", "F"} else 1


def clip(text: str, columns: int, *, ellipsis: str = "…") -> str:
    """Return text that fits into so many columns, its end replaced by an ellipsis where it does not."""
    if width(text) <= columns:
        return text
    room = columns - len(ellipsis)
    if room < 0:
        return ""
    taken = 0
    for position, char in enumerate(text):
        taken += _columns(char)
        if taken > room:
            return text[:position] + ellipsis
    return text


def pad(text: str, columns: int) -> str:
    """Return text filled with spaces to so many columns."""
    return text + " " * (columns - width(text))


def seconds(value: float) -> str:
    """Return a length of time in three or four significant figures: `0.8s`, `41.5s`, `2m05s`, `1h02m`."""
    if value < 59.95:
        return f"{max(value, 0.0):.1f}s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def count(value: int) -> str:
    """Return a number in at most four characters up to a billion: `950`, `1.2k`, `48k`, `3.1M`."""
    if value < 1000:
        return str(value)
    scaled = float(value)
    for unit in "kMG":
        scaled /= 1000
        if scaled < 9.95:
            return f"{scaled:.1f}{unit}"
        if scaled < 999.5 or unit == "G":
            return f"{scaled:.0f}{unit}"
    raise AssertionError


def plural(value: int, noun: str) -> str:
    """Return `1 error`, `2 errors`."""
    return f"{value} {noun}" if value == 1 else f"{value} {noun}s"
