"""Rows of JSONL and CSV: what is one, what is none and says why, and that neither the way bytes come nor their number matters."""

from __future__ import annotations

import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit import rows
from flowkit.errors import InputError
from flowkit.rows import BadRow, Row


def read(data: bytes, form="jsonl", step=None):
    file = io.BytesIO(data)
    return list(rows.read(file.read if step is None else lambda _: file.read(step), form))


def only(data: bytes, form="jsonl"):
    [found] = read(data, form)
    return found


BAD = {
    "not JSON": (b"nope", "not JSON: Expecting value, column 1"),
    "cut short": (b'{"a": 1', "not JSON: Expecting ',' delimiter, column 8"),
    "two values": (b'{"a": 1} {"b": 2}', "not JSON: Extra data, column 10"),
    "a list": (b"[1, 2]", "not an object but a list"),
    "a text": (b'"a"', "not an object but a text"),
    "null": (b"null", "not an object but null"),
    "no UTF-8": (b'{"a": "\xff"}', "byte 8 is not UTF-8 (0xff)"),
    "NUL": (b'{"a": "\x00"}', "a NUL byte, which no text holds"),
    "UTF-16": (b'{\x00"\x00a\x00"\x00', "a NUL byte, which no text holds; a file in UTF-16 must be saved as UTF-8"),
    "half a pair": (rb'{"a": "\ud83d"}', "half of a surrogate pair, which is no character"),
    "a key twice": (b'{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' stands twice"),
    "NaN": (b'{"a": NaN}', "not JSON: NaN is no number that JSON knows"),
    "infinity": (b'{"a": -Infinity}', "not JSON: -Infinity is no number that JSON knows"),
    "too deep": (b'{"a": ' + b"[" * 101 + b"]" * 101 + b"}", "nested deeper than 100 levels"),
    "far too deep": (b'{"a": ' + b"[" * 200_000, "nested deeper than 100 levels"),
    "an endless number": (b'{"a": ' + b"1" * 5000 + b"}", "not JSON: Exceeds the limit (4300 digits) for integer string conversion"),
}


@pytest.mark.parametrize(("line", "said"), BAD.values(), ids=BAD)
def test_a_bad_line_says_what_is_wrong_and_the_others_are_read(line, said):
    before, bad, after = read(b'{"n": 1}\n' + line + b'\n{"n": 3}\n')
    assert (before.values, after.values) == ({"n": 1}, {"n": 3})
    assert isinstance(bad, BadRow)
    assert bad.message.startswith(said)
    assert (bad.number, bad.line, after.number, after.line) == (2, 2, 3, 3)


def test_a_line_that_is_too_long_is_passed_over_without_being_held():
    size = 4 * rows.LARGEST
    chunks = iter([b'{"n": 1}\n{"a": "', *[b"x" * 65536] * (size // 65536 + 1), b'"}\n{"n": 3}', b""])
    tracemalloc.start()
    one, long, three = rows.read(lambda _: next(chunks), "jsonl")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (one.values, three.values) == ({"n": 1}, {"n": 3})
    assert (long.message, long.line) == ("longer than 16 MiB", 2)
    assert peak < 2 * rows.LARGEST


def test_what_editors_leave_does_no_harm():
    """A BOM, CRLF, blank lines and a last line without an end are no part of the data; numbers of lines count all of them."""
    found = read(b'\xef\xbb\xbf{"n": 1}\r\n\r\n   \n{"n": 2}')
    assert [(row.number, row.line, row.values) for row in found] == [(1, 1, {"n": 1}), (2, 4, {"n": 2})]


def test_lines_end_at_newlines_alone():
    text = "a\u2028b\x85c\x0bd"
    assert only(json.dumps({"t": text}, ensure_ascii=False).encode()).values == {"t": text}


def test_brackets_inside_of_texts_are_no_depth():
    assert only(json.dumps({"t": '[{"' * 200}).encode()).values == {"t": '[{"' * 200}


def test_a_whole_surrogate_pair_is_a_character():
    assert only(rb'{"a": "\ud83d\ude00"}').values == {"a": "\U0001f600"}


def test_an_integer_of_any_length_stays_what_it_is():
    assert only(b'{"n": 12345678901234567890123}').values == {"n": 12345678901234567890123}


@given(
    st.lists(
        st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"])), st.integers() | st.text(st.characters(exclude_categories=["Cs"]))
        )
    ),
    st.integers(1, 40),
)
def test_rows_are_the_same_however_bytes_come(objects, step):
    data = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects).replace("\0", "").encode()
    found = read(data, step=step)
    assert found == read(data)
    assert [row.values for row in found] == [json.loads(line) for line in data.split(b"\n") if line]


@given(st.lists(st.sampled_from([b'{"a":1}', b"{}", b"no"]), min_size=1, max_size=6), st.data())
def test_the_digest_tells_any_change_of_what_came_before(lines, data):
    at = data.draw(st.integers(0, len(lines) - 1))
    changed = [*lines[:at], b'{"a":2}', *lines[at + 1 :]]
    before, after = read(b"\n".join(lines)), read(b"\n".join(changed))
    assert [a.digest == b.digest for a, b in zip(before, after, strict=True)] == [number < at for number in range(len(lines))]


# -- CSV -----------------------------------------------------------------------------------------------------

TABLE = b'name,age,note\nAda,36,"says ""hi"", often"\nBob,,"two\nlines"\nEve,1\n"x"y,1,2\nMax,2,\xff\nZoe,3,end\n'


def test_cells_are_texts_and_an_empty_one_is_absent():
    found = read(TABLE, "csv")
    assert found[0].values == {"name": "Ada", "age": "36", "note": 'says "hi", often'}
    assert found[1].values == {"name": "Bob", "note": "two\nlines"}
    assert found[5].values == {"name": "Zoe", "age": "3", "note": "end"}


def test_lines_of_csv_are_counted_through_quoted_cells():
    assert [(row.number, row.line) for row in read(TABLE, "csv")] == [(1, 2), (2, 3), (3, 5), (4, 6), (5, 7), (6, 8)]


def test_bad_rows_of_csv_say_what_is_wrong():
    bad = [row.message for row in read(TABLE, "csv") if isinstance(row, BadRow)]
    assert bad == ["2 cells, but the header names 3 columns", "not CSV: ',' expected after '\"'", "byte 7 is not UTF-8 (0xff)"]


def test_a_quote_that_is_never_closed_is_one_bad_row():
    [good, bad] = read(b'a,b\n1,2\n"3,4\n5,6\n', "csv")
    assert good.values == {"a": "1", "b": "2"}
    assert (bad.message, bad.line) == ("not CSV: a quote is never closed", 3)


def test_a_cell_may_be_as_large_as_a_document():
    assert len(only(b"a\n" + b"x" * 1_000_000 + b"\n", "csv").values["a"]) == 1_000_000


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the file is empty: a CSV file begins with a line that names the columns"),
        (b"a,b,a\n1,2,3\n", "the header in line 1 names the column 'a' twice"),
        (b"\n\na,\xff\n", "the header in line 3 cannot be read: byte 3 is not UTF-8 (0xff)"),
    ],
)
def test_a_header_that_names_no_columns_is_refused(data, said):
    with pytest.raises(InputError) as caught:
        read(data, "csv")
    assert str(caught.value) == said


@pytest.mark.parametrize(("data", "form"), [(TABLE, "csv"), (b'\n{"a": 1}\n\nnope\n{}', "jsonl"), (b"", "jsonl"), (b"a,b\n", "csv")])
def test_counting_counts_what_reading_reads(data, form):
    assert rows.count(io.BytesIO(data).read, form) == len(read(data, form))


def test_the_header_alone_can_be_read():
    assert rows.header(io.BytesIO(b"\xef\xbb\xbf name , age\n").read) == ["name", "age"]


@pytest.mark.parametrize(
    ("name", "form"), [("a.jsonl", "jsonl"), ("a.NDJSON", "jsonl"), ("a.csv", "csv"), ("a.txt", "jsonl"), ("/dev/fd/63", "jsonl")]
)
def test_the_name_says_the_form(name, form):
    assert rows.form_of(name) == form


@pytest.mark.parametrize(
    ("name", "way_out"),
    [("a.json", "jq -c '.[]' a.json > a.jsonl"), ("a.xlsx", "write it in one of these forms"), ("a.jsonl.gz", "not .gz")],
)
def test_another_form_is_refused_with_a_way_out(name, way_out):
    with pytest.raises(InputError) as caught:
        rows.form_of(name)
    assert way_out in str(caught.value)


def test_memory_does_not_grow_with_the_number_of_rows():
    def data(number):
        left = iter(range(number))
        return lambda _: b"".join(b'{"word": "%d"}\n' % n for _, n in zip(range(1000), left, strict=False))

    def peak(number):
        tracemalloc.start()
        count = sum(1 for row in rows.read(data(number), "jsonl") if isinstance(row, Row))
        _, found = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == number
        return found

    peak(2000)  # what is made once
    assert peak(20_000) < peak(2_000) + 50_000
