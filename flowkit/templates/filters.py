"""The filters and tests that templates may use: pure ones of Jinja, some of them bounded, and our own.

Nothing here reads a clock, a disk or chance, so that the same values always give the same text.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sized
from itertools import islice
from typing import Any

from jinja2 import filters as jinja_filters
from jinja2 import tests as jinja_tests
from jinja2.runtime import Undefined
from jinja2.utils import pass_environment

from flowkit.templates.data import MAX_ITEMS, MAX_TEXT, Absent, LimitExceeded, describe, plain, text_of, to_json

#: Widths, precisions and counts beyond this are mistakes or bombs.
MAX_WIDTH = 10_000


def bounded(size: int, what: str = "text", most: int = MAX_TEXT) -> None:
    """Fail when something would be made larger than allowed, before it is made."""
    if size > most:
        raise LimitExceeded(f"{what} of {size:,}; at most {most:,} are allowed")


def absent(value: Any) -> bool:
    """Tell whether a value is absent or unknown."""
    return value is None or isinstance(value, Undefined)


def concat(parts: Iterable[Any]) -> str:
    """Return the texts of some values as one; what `~` means."""
    texts = [text_of(p) for p in parts]
    bounded(sum(map(len, texts)), "a text")
    return "".join(texts)


def default(value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    """Replace what is absent; with `boolean` also what is false or empty."""
    return default_value if absent(value) or (boolean and not value) else value


@pass_environment
def join(environment: Any, value: Iterable[Any], d: Any = "", attribute: str | None = None) -> str:
    """Join the texts of the items."""
    if attribute is not None:
        value = map(jinja_filters.make_attrgetter(environment, attribute), value)
    texts = [text_of(v) for v in islice(value, MAX_ITEMS)]
    separator = text_of(d)
    bounded(sum(map(len, texts)) + len(separator) * len(texts), "a text")
    return separator.join(texts)


def _first(value: Iterable[Any]) -> Any:
    if absent(value):
        return value
    found = next(iter(value), None)
    return Absent(hint="the first item of an empty list is absent") if found is None else found


def _last(value: Any) -> Any:
    if absent(value):
        return value
    items = list(value)
    return items[-1] if items and items[-1] is not None else Absent(hint="the last item of an empty list is absent")


@pass_environment
def _min(environment: Any, value: Iterable[Any], case_sensitive: bool = False, attribute: str | None = None) -> Any:
    found = jinja_filters.do_min(environment, value, case_sensitive, attribute)
    return Absent(hint="the least of an empty list is absent") if isinstance(found, Undefined) else found


@pass_environment
def _max(environment: Any, value: Iterable[Any], case_sensitive: bool = False, attribute: str | None = None) -> Any:
    found = jinja_filters.do_max(environment, value, case_sensitive, attribute)
    return Absent(hint="the greatest of an empty list is absent") if isinstance(found, Undefined) else found


def mean(value: Iterable[Any]) -> Any:
    """Return the arithmetic mean of numbers; of an empty list it is absent."""
    numbers = list(value)
    return sum(numbers) / len(numbers) if numbers else Absent(hint="the mean of an empty list is absent")


def _length(value: Any) -> int:
    if absent(value):
        raise TypeError(describe(value))
    return len(value) if isinstance(value, Sized) else len(list(value))


def _json(value: Any, indent: int | None = None) -> str:
    if isinstance(value, Undefined):
        raise TypeError(describe(value))
    bounded(indent or 0, "an indent", 16)
    return to_json(plain(value), indent)


_FORMAT = re.compile(r"%(?:\((?P<name>\w+)\))?[-+ #0]*(?P<width>\d*|\*)(?:\.(?P<precision>\d*|\*))?[hlL]?(?P<kind>[diouxXeEfFgGcrsa%])")


def _format(value: Any, *args: Any, **kwargs: Any) -> str:
    text = text_of(value)
    for m in _FORMAT.finditer(text):
        for number in (m["width"], m["precision"]):
            if number == "*":
                raise ValueError("a width of * is not allowed in a format")
            bounded(int(number or 0), "a width", MAX_WIDTH)
    if args and kwargs:
        raise TypeError("a format takes either positional or named values")
    shown = {k: _shown(v) for k, v in kwargs.items()} if kwargs else tuple(_shown(v) for v in args)
    return text % shown


def _shown(value: Any) -> Any:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else text_of(value)


def _replace(value: Any, old: Any, new: Any, count: int | None = None) -> str:
    text, old_text, new_text = text_of(value), text_of(old), text_of(new)
    times = text.count(old_text) if count is None else min(count, text.count(old_text))
    bounded(len(text) + times * max(0, len(new_text) - len(old_text)), "a text")
    return text.replace(old_text, new_text, -1 if count is None else count)


def _center(value: Any, width: int = 80) -> str:
    bounded(width, "a width", MAX_WIDTH)
    return text_of(value).center(width)


def _indent(value: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    text = text_of(value)
    bounded(width if isinstance(width, int) else len(width), "a width", MAX_WIDTH)
    bounded((text.count("\n") + 1) * (width if isinstance(width, int) else len(width)) + len(text), "a text")
    return str(jinja_filters.do_indent(text, width, first, blank))


def _batch(value: Iterable[Any], linecount: int, fill_with: Any = None) -> Any:
    bounded(linecount, "a batch", MAX_WIDTH)
    return jinja_filters.do_batch(value, linecount, fill_with)


def _slice(value: Any, slices: int, fill_with: Any = None) -> Any:
    bounded(slices, "a number of slices", MAX_WIDTH)
    return jinja_filters.sync_do_slice(value, slices, fill_with)


def _round(value: float, precision: int = 0, method: Any = "common") -> float:
    bounded(abs(precision), "a precision", 300)
    return jinja_filters.do_round(value, precision, method)


def _escape(value: Any) -> str:
    return html.escape(text_of(value))


def _items(value: Any) -> list[tuple[Any, Any]]:
    if absent(value):
        return []
    if not isinstance(value, Mapping):
        raise TypeError("`items` needs a mapping")
    return list(value.items())


def _trim(value: Any, chars: str | None = None) -> str:
    return text_of(value).strip(chars)


def _wordcount(value: Any) -> int:
    return len(re.findall(r"\w+", text_of(value)))


def _lines(value: Any) -> list[str]:
    return text_of(value).splitlines()


def _truncate_words(value: Any, count: int, end: str = "…") -> str:
    text = text_of(value)
    found = list(islice(re.finditer(r"\S+", text), count + 1))
    return text if len(found) <= count else text[: found[count - 1].end() if count > 0 else 0] + end


def _of_text(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a filter of Jinja the text of a value as ours, not as Python's."""

    def filter_(value: Any, *args: Any, **kwargs: Any) -> str:
        return str(function(text_of(value), *args, **kwargs))

    # The checker compares calls with the arguments of the function itself.
    filter_.__wrapped__ = function  # type: ignore[attr-defined]
    return filter_


@pass_environment
def _truncate(environment: Any, value: Any, length: int = 255, killwords: bool = False, end: str = "...", leeway: int | None = None) -> str:
    return jinja_filters.do_truncate(environment, text_of(value), length, killwords, end, leeway)


@pass_environment
def _wordwrap(environment: Any, value: Any, width: int = 79, break_long_words: bool = True, wrapstring: str | None = None) -> str:
    return jinja_filters.do_wordwrap(environment, text_of(value), width, break_long_words, wrapstring)


FILTERS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "batch": _batch,
    "capitalize": _of_text(str.capitalize),
    "center": _center,
    "count": _length,
    "d": default,
    "dedent": _of_text(textwrap.dedent),
    "default": default,
    "dictsort": jinja_filters.do_dictsort,
    "e": _escape,
    "escape": _escape,
    "filesizeformat": jinja_filters.do_filesizeformat,
    "first": _first,
    "float": jinja_filters.do_float,
    "forceescape": _escape,
    "format": _format,
    "groupby": jinja_filters.sync_do_groupby,
    "indent": _indent,
    "int": jinja_filters.do_int,
    "items": _items,
    "join": join,
    "json": _json,
    "last": _last,
    "length": _length,
    "lines": _lines,
    "list": jinja_filters.sync_do_list,
    "lower": _of_text(str.lower),
    "map": jinja_filters.sync_do_map,
    "max": _max,
    "mean": mean,
    "min": _min,
    "reject": jinja_filters.sync_do_reject,
    "rejectattr": jinja_filters.sync_do_rejectattr,
    "replace": _replace,
    "reverse": jinja_filters.do_reverse,
    "round": _round,
    "safe": text_of,
    "select": jinja_filters.sync_do_select,
    "selectattr": jinja_filters.sync_do_selectattr,
    "slice": _slice,
    "sort": jinja_filters.do_sort,
    "string": text_of,
    "striptags": _of_text(jinja_filters.do_striptags),
    "sum": jinja_filters.sync_do_sum,
    "title": _of_text(jinja_filters.do_title),
    "tojson": _json,
    "trim": _trim,
    "truncate": _truncate,
    "truncate_words": _truncate_words,
    "unique": jinja_filters.do_unique,
    "upper": _of_text(str.upper),
    "urlencode": jinja_filters.do_urlencode,
    "wordcount": _wordcount,
    "wordwrap": _wordwrap,
}


def _mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


_PURE_TESTS: Mapping[str, Any] = jinja_tests.TESTS
TESTS: dict[str, Callable[..., Any]] = {
    name: test
    for name, test in _PURE_TESTS.items()
    if name not in {"callable", "sameas", "escaped", "filter", "test", "defined", "undefined", "none", "mapping"}
} | {
    "defined": lambda value: not absent(value),
    "undefined": absent,
    "none": absent,
    "mapping": _mapping,
}
