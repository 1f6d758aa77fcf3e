"""Bytes to events, however they are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.wire.sse import LARGEST, Event, Splitter, TooLarge


def split(*pieces: bytes) -> list[Event]:
    splitter = Splitter()
    events = [event for piece in pieces for event in splitter.feed(piece)]
    last = splitter.finish()
    return [*events, last] if last else events


def data(*pieces: bytes) -> list[bytes]:
    return [event.data for event in split(*pieces)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_in_lf_crlf_or_cr(end: bytes) -> None:
    stream = end.join([b"data: a", b"data: b", b"", b": comment", b"data:c", b"", b""])
    assert data(stream) == [b"a\nb", b"c"]
    assert data(*(bytes([byte]) for byte in stream)) == [b"a\nb", b"c"]


def test_event_is_given_as_soon_as_it_is_whole() -> None:
    splitter = Splitter()
    assert splitter.feed(b"data: a\r") == []
    assert splitter.feed(b"\n\r") == [Event("message", b"a")]
    assert splitter.feed(b"\ndata: b\r\r") == [Event("message", b"b")]


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_only_lf_and_cr_end_a_line(char: str) -> None:
    assert data(f"data: a{char}b\n\n".encode()) == [f"a{char}b".encode()]


def test_mark_at_the_start_is_dropped_and_nowhere_else() -> None:
    assert data(b"\xef\xbb\xbfdata: a\n\n") == [b"a"]
    assert data(b"\xef", b"\xbb", b"\xbfdata: a\n\n") == [b"a"]
    assert data(b"data: \xef\xbb\xbfa\n\n") == [b"\xef\xbb\xbfa"]
    assert data(b"\xef\xbb") == []


def test_names_belong_to_one_event_and_unknown_fields_to_none() -> None:
    stream = b"event: error\nid: 1\nretry: 5\nfoo: bar\ndata: a\n\ndata: b\n\nevent: ping\n\ndata: c\n\n"
    assert split(stream) == [Event("error", b"a"), Event("message", b"b"), Event("message", b"c")]


@pytest.mark.parametrize(
    "stream", [b"", b"\n\n\n", b":\n\n", b": ping\n\n", b"data\n\n", b"data:\n\n", b"data:   \n\n", b"event: ping\n\n", b"x"]
)
def test_events_without_data_are_none(stream: bytes) -> None:
    assert split(stream) == []


def test_error_line_is_an_error_event() -> None:
    assert split(b'error: {"code": 500}\n\n') == [Event("error", b'{"code": 500}')]


def test_last_event_may_lack_its_blank_line() -> None:
    assert data(b"data: a\n\ndata: [DONE]") == [b"a", b"[DONE]"]


@pytest.mark.parametrize("piece", [b"x" * 65536, b"data: x\n" * 8192, b"data\n" * 8192])
def test_event_beyond_its_cap_is_refused(piece: bytes) -> None:
    splitter = Splitter()
    splitter.feed(b"data: ")
    with pytest.raises(TooLarge):
        for _ in range(2 * LARGEST // 8192):
            splitter.feed(piece)


@given(
    st.lists(
        st.sampled_from([b"data: a", b"data:b", b"\n", b"\r", b"\r\n", b":", b"event: e", b"\xef\xbb\xbf", b"error: x", b"\x80"]),
        max_size=25,
    ),
    st.lists(st.integers(0, 200), max_size=6),
)
def test_cuts_change_nothing(parts: list[bytes], offsets: list[int]) -> None:
    stream = b"".join(parts)
    cuts = [0, *sorted(min(o, len(stream)) for o in offsets), len(stream)]
    assert split(*(stream[a:b] for a, b in pairwise(cuts))) == split(stream)
