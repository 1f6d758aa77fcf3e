"""Reading YAML: what a value is, where everything stands, and what is refused."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from flowkit.errors import Problem, Problems
from flowkit.source import Document, Mapping, Scalar, Sequence, parse, plain
from flowkit.source.decoding import decode
from flowkit.source.reading import DEEPEST, MOST_ALIASED, READER, Reading

CORPUS = Path(__file__).parent / "corpus" / "yaml"
INDEX: list[dict[str, Any]] = json.loads((CORPUS / "index.json").read_text("utf-8"))["files"]
RELAXED = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])


def read(text: bytes | str) -> tuple[Document, tuple[Problem, ...]]:
    problems = Problems()
    document = parse(text, path=Path("/flows/a.flow.yaml"), shown="a.flow.yaml", problems=problems)
    return document, problems.ordered()


def data(text: bytes | str) -> Any:
    document, problems = read(text)
    assert not problems, problems
    assert document.root is not None
    assert document.complete
    return plain(document.root)


def only(text: bytes | str) -> Problem:
    _, problems = read(text)
    assert len(problems) == 1, problems
    return problems[0]


def value(text: str, name: str = "k") -> Scalar:
    document, problems = read(text)
    assert not problems, problems
    assert isinstance(document.root, Mapping)
    node = document.root.get(name)
    assert isinstance(node, Scalar)
    return node


# -- values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("NO", "NO"),
        ("on", "on"),
        ("yes", "yes"),
        ("y", "y"),
        ("12:30", "12:30"),
        ("12:30:45", "12:30:45"),
        ("2026-11-22", "2026-11-22"),
        ("1_000", "1_000"),
        ("0o14", 12),
        ("014", 14),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1.10", 1.1),
        ("-.5e3", -500.0),
        ("1.", 1.0),
        (".", "."),
        ("-", None),
        ("+12", 12),
        ("true", True),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("~", None),
        ("Null", None),
        ("", None),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        (".Inf", math.inf),
        ("=", "="),
        ("1e999", math.inf),
        ("openai/gpt-4.1-mini", "openai/gpt-4.1-mini"),
        ('"5"', "5"),
        ("'true'", "true"),
        ('""', ""),
    ],
)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(written: str, meant: object) -> None:
    if written == "-":
        assert data("k:\n  -") == {"k": [None]}
        return
    found = data(f"k: {written}")["k"]
    assert found == meant
    assert type(found) is type(meant)


def test_not_a_number_is_a_float() -> None:
    assert math.isnan(data("k: .NaN")["k"])


def test_text_of_a_scalar_is_what_stands_there() -> None:
    assert value("k: 1.10").text == "1.10"
    assert value("k: NO").text == "NO"


@pytest.mark.parametrize(("digits", "prefix"), [(5000, ""), (2000, "0x"), (1200, "1.")])
def test_a_number_of_absurd_length_is_a_problem_and_not_an_exception(digits: int, prefix: str) -> None:
    assert only(f"k: {prefix}{'1' * digits}").code == "number-too-long"


def test_a_long_text_of_digits_and_dots_is_text() -> None:
    assert data(f"k: {'1.2.' * 500}")["k"] == "1.2." * 500


def test_crlf_and_byte_order_mark_change_neither_values_nor_places() -> None:
    text = 'flowkit: 1\nk: |\n  a\n  b\nl: "x\n  y"\n'
    assert data(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()) == data(text)
    node = value("\ufeff" + text.replace("\n", "\r\n"))
    assert (node.line, node.column, node.locate(2)) == (2, 4, (4, 3))


def test_a_key_with_a_question_mark_needs_no_quotes() -> None:
    """Optional fields of a type are written `name?: type`, in braces too."""
    assert data("{order_id?: string, b: list(T)}") == {"order_id?": "string", "b": "list(T)"}


def test_order_of_keys_is_that_of_the_file() -> None:
    assert list(data("b: 1\na: 2\nc: 3")) == ["b", "a", "c"]


# -- aliases -----------------------------------------------------------------------------------------------


def test_an_alias_is_the_very_node_of_its_anchor() -> None:
    document, problems = read("a: &x {k: v}\nb: *x\nc: [*x, *x]\n")
    assert not problems
    assert isinstance(document.root, Mapping)
    first, second, third = document.root.get("a"), document.root.get("b"), document.root.get("c")
    assert first is second
    assert isinstance(third, Sequence)
    assert third.items == (first, first)
    assert isinstance(first, Mapping)
    assert (first.line, first.column) == (1, 7)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("k: &x  text", (1, 8)),
        ("k: &x\n  # comment\n  text", (3, 3)),
        ('k: &x "text"', (1, 7)),
        ("k: &x |\n  text", (1, 7)),
        ("k: &x", (1, 6)),
    ],
)
def test_a_scalar_begins_behind_its_anchor(text: str, place: tuple[int, int]) -> None:
    node = value(text)
    assert (node.line, node.column) == place


def test_aliases_may_not_multiply() -> None:
    ten = ", ".join(["*b"] * 10)
    text = f"a: &a [{', '.join('x' * 99)}]\nb: &b [{', '.join(['*a'] * 99)}]\nc: [{ten}]"
    assert only(text).code == "too-many-aliases"
    assert MOST_ALIASED == 20_000


def test_a_scalar_may_have_many_aliases() -> None:
    assert len(data("a: &a x\nb: [" + ", ".join(["*a"] * 15_000) + "]")["b"]) == 15_000


def test_depth_is_counted_through_aliases() -> None:
    deep = "\n".join(f"a{i}: &a{i} [{'*a' + str(i - 1) if i else 'x'}]" for i in range(60))
    problem = only(deep)
    assert (problem.code, problem.place.line) == ("too-deep", DEEPEST)


@pytest.mark.parametrize("opening", ["[", "- ", "{a: ", "? ", '{"a":', "[{a: "])
def test_depth_is_counted_and_never_recursed(opening: str) -> None:
    _, problems = read(opening * 100_000)
    assert problems[0].code in {"too-deep", "key-not-text"}


def test_forty_levels_are_not_too_deep() -> None:
    assert data("[" * DEEPEST + "]" * DEEPEST)
    assert only("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1)).code == "too-deep"


# -- places ------------------------------------------------------------------------------------------------


def test_nodes_know_where_they_begin_and_end() -> None:
    document, _ = read("a:\n  b: [x, {y: z}]\n  c: d\nlast: 1\n")
    assert isinstance(document.root, Mapping)
    a = document.root.get("a")
    assert isinstance(a, Mapping)
    assert (a.line, a.column, a.end_line, a.end_column) == (2, 3, 3, 7)
    b = a.get("b")
    assert isinstance(b, Sequence)
    assert (b.line, b.column, b.end_line, b.end_column) == (2, 6, 2, 17)
    key = a.key("c")
    assert key is not None
    assert (key.line, key.column, key.end_column) == (3, 3, 4)
    assert (key.place().source, key.place().end_column) == ("  c: d", 4)


def test_place_of_part_of_a_scalar_is_that_part() -> None:
    node = value('k: "a\\tb \\"{{ steps.x }}"')
    start = node.text.index("steps")
    place = node.place(start, start + 5)
    assert place.source[place.column - 1 : place.end_column - 1] == "steps"


def test_columns_count_code_points() -> None:
    node = value("k: '😀 é要 x'")
    assert node.locate(node.text.index("x")) == (1, 10)


def spelled(source: str, column: int) -> str:
    """What the character or escape at a column (from 1) of a line of a double-quoted scalar stands for."""
    match = re.compile(r"\\(?:x..|u....|U........|.)|.").match(source, column - 1)
    assert match
    return str(yaml.safe_load(f'"{match.group()}"')) if match.group() not in {'"'} else '"'


def check_places(node: Scalar) -> None:
    """Each character that is no blank stands where `locate` says, in order, and none is left out."""
    lines = node.file.lines
    places = [node.locate(i) for i in range(len(node.text) + 1)]
    assert places == sorted(places)
    assert len(set(places)) == len(places) or not node.text
    for char, (line, column) in zip(node.text, places, strict=False):
        source = lines[line - 1]
        if char in " \t\n" and node.style != "double":
            assert column == len(source) + 1 or source[column - 1] in " \t" or column == len(source.rstrip(" \t")) + 1
        elif char in " \t\n":
            assert column > len(source.rstrip(" \t")) or spelled(source, column) == char
        elif node.style == "double":
            assert spelled(source, column) == char
        else:
            assert source[column - 1] == char


def test_locate_past_the_end_stays_at_the_end() -> None:
    node = value("k: abc")
    assert node.locate(3) == node.locate(99) == (1, 7)
    assert value("k: 'abc'").locate(3) == (1, 8)


TEXTS = st.text(st.sampled_from("ab:#'\"\\é😀 \t\n{}-"), max_size=40)


@RELAXED
@given(TEXTS, st.sampled_from([None, "'", '"', "|", ">"]), st.integers(2, 8), st.sampled_from([20, 30, 80]))
def test_each_character_stands_where_locate_says_whatever_the_style(text: str, style: str | None, indent: int, width: int) -> None:
    """What PyYAML writes in any style is read back with the place of every character."""
    written = yaml.dump({"o": [{"k": text}]}, default_style=style, indent=indent, width=width, allow_unicode=True)
    document, problems = read(re.sub(r"!!\w+ ", "", written))
    assert not problems
    assert isinstance(document.root, Mapping)
    items = document.root.get("o")
    assert isinstance(items, Sequence)
    inner = items.items[0]
    assert isinstance(inner, Mapping)
    node = inner.get("k")
    assert isinstance(node, Scalar)
    assert node.text == text
    check_places(node)


DOUBLE = st.lists(
    st.sampled_from(
        ["a", "b", " ", "\t", "\n  ", "\n\n ", "\\n", "\\t", "\\\n ", "\\ ", '\\"', "\\\\", "\\x41", "\\u00e9", "\\U0001F600", "'", "#"]
    )
)


@RELAXED
@given(DOUBLE)
@example(["a", " ", "\\\n ", " ", "b"])
@example([" ", "\n  ", "a", "\\t", " ", "\n\n ", "\\\n "])
def test_places_in_double_quotes_survive_every_escape_and_fold(pieces: list[str]) -> None:
    node = value(f'k: "{"".join(pieces)}"')
    check_places(node)
    assert node.locate(len(node.text)) == (node.end_line, node.end_column - 1) or not node.text


@RELAXED
@given(st.lists(st.sampled_from(["a", "b", " ", "\t", "\n  ", "\n\n ", "''", '"', "\\", "#"])))
def test_places_in_single_quotes_survive_doubled_quotes_and_folds(pieces: list[str]) -> None:
    node = value(f"k: '{''.join(pieces)}'")
    check_places(node)
    assert node.locate(len(node.text)) == (node.end_line, node.end_column - 1) or not node.text


@RELAXED
@given(st.lists(st.sampled_from(["a", "b", " ", "\n  ", "\n\n ", "\n \n\t\n  ", "'", '"', "#", ":x"])))
def test_places_in_plain_text_of_several_lines(pieces: list[str]) -> None:
    document, problems = read(f"k: x{''.join(pieces)}\nl: 1")
    assume(not problems and isinstance(document.root, Mapping))
    assert isinstance(document.root, Mapping)
    node = document.root.get("k")
    assert isinstance(node, Scalar)
    check_places(node)
    assert node.locate(len(node.text)) == (node.end_line, node.end_column)


HEADERS = st.tuples(
    st.sampled_from("|>"), st.sampled_from(["", "1", "2", "3"]), st.sampled_from(["", "+", "-"]), st.sampled_from(["", "  # why"])
)


@RELAXED
@given(HEADERS, st.lists(st.text(st.sampled_from("ab#\t "), max_size=6), max_size=8), st.sampled_from([2, 4]), st.booleans())
@example(("|", "2", "", ""), ["    ", "a"], 2, True)
@example((">", "", "+", ""), ["a", " b", "", "c", "d", "", ""], 2, False)
def test_places_in_blocks_survive_indentation_folding_and_chomping(
    header: tuple[str, str, str, str], rows: list[str], indent: int, final: bool
) -> None:
    sign, digit, chomping, comment = header
    body = "\n".join(" " * indent + row for row in rows)
    text = f"o:\n k: {sign}{digit}{chomping}{comment}\n{body}" + ("\n" if final else "")
    document, problems = read(text)
    assume(not problems and document.root is not None)
    assert isinstance(document.root, Mapping)
    inner = document.root.get("o")
    assert isinstance(inner, Mapping)
    node = inner.get("k")
    assert isinstance(node, Scalar)
    check_places(node)


# -- comments ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "comment", "column"),
    [
        ("k: Issue #{{ n }} is open", "#{{ n }} is open", 10),
        ("k: steps.x.output   # the answer  ", "# the answer", 21),
        ("k: #{{ n }}", "#{{ n }}", 4),
        ("k: # nothing", "# nothing", 4),
        ("k: a#b", None, 0),
        ("k: a\n  b # c", "# c", 5),
        ("k: a\n# below", None, 0),
        ("k: 'a' # c", None, 0),
        ("k: |\n  a # c", None, 0),
        ("{k: a, # c\n l: b}", None, 0),
        ("[a, {k: b # c\n }]", "# c", 11),
    ],
)
def test_a_comment_behind_a_plain_scalar_is_known(text: str, comment: str | None, column: int) -> None:
    document, _ = read(text)
    root = document.root
    if isinstance(root, Sequence):
        root = root.items[1]
    assert isinstance(root, Mapping)
    node = root.get("k")
    assert isinstance(node, Scalar)
    assert (node.comment, node.comment_column) == (comment, column)


# -- mistakes ----------------------------------------------------------------------------------------------

MISTAKES = [
    ("k: {{ x }}", "unquoted-text", 1, 4, '"{{ x }}"'),
    ("k: {{ x[0] }}", "unquoted-text", 1, 4, '"{{ x[0] }}"'),
    ("k: {{ x }} please", "unquoted-text", 1, 4, '"{{ x }} please"'),
    ("- user: {{ x.y }} and", "unquoted-text", 1, 9, '"{{ x.y }} and"'),
    ("a: [{{ x }}, b]", "unquoted-text", 1, 5, '"{{ x }}"'),
    ("a: {b: {{ x['c'] }} }", "unquoted-text", 1, 8, "quote"),
    ("k: {% if x %}a{% endif %}", "unquoted-text", 1, 4, "quote"),
    ('k: "{{ a }}" in short', "unquoted-text", 1, 14, "'\"{{ a }}\" in short'"),
    ("k: 'a' in b\nx: 1", "unquoted-text", 1, 8, "\"'a' in b\""),
    ("k: 'it's'", "unquoted-text", 1, 8, "quote"),
    ("a:\n  k: Say: {{ x }}\n  b: c", "unquoted-text", 2, 9, '"Say: {{ x }}"'),
    ("name: demo: v2", "unquoted-text", 1, 11, '"demo: v2"'),
    ("k: Do\n  this: now", "yaml-syntax", 2, 7, "indent"),
    ("k: *bold* text", "unquoted-text", 1, 4, '"*bold* text"'),
    ("k: &amp; x", "unquoted-text", 1, 4, "quote"),
    ("k: ? what", "unquoted-text", 1, 4, '"? what"'),
    ("k: - item", "unquoted-text", 1, 4, "quote"),
    ("k: | text", "unquoted-text", 1, 4, "below"),
    ("k: `x`", "unquoted-text", 1, 4, "quote"),
    ("k: @user", "unquoted-text", 1, 4, '"@user"'),
    ("k: %d items", "unquoted-text", 1, 4, '"%d items"'),
    ("k: [1, 2] | length", "unquoted-text", 1, 13, "quote"),
    ('k: {t: "a" | "b"}', "unquoted-text", 1, 12, "quote"),
    ("k: Issue #{{ n }}\n  more\nl: m", "unquoted-text", 1, 10, "quote"),
    ('a: "open\nb: c', "unclosed-quote", 1, 4, "close"),
    ('a: "open\nb: "x"\nc: d', "unclosed-quote", 1, 4, "close"),
    ('a: "\\d"', "unknown-escape", 1, 5, "\\\\"),
    ("a: [x, y\nb: c", "yaml-syntax", 1, 4, "close"),
    ("a: {x: y", "yaml-syntax", 1, 4, "close"),
    ("name:demo\nflowkit: 1", "yaml-syntax", 1, 5, "space"),
    ("flowkit: 1\nsteps\nname: x", "yaml-syntax", 2, 1, "key"),
    ("a:\n\tb: c", "tab-indent", 2, 1, "spaces"),
    ("a: |\n\ttext", "tab-indent", 2, 1, "spaces"),
    ("a:\n    b: 1\n  c: 2", "bad-indent", 3, 3, "0 or 4"),
    ("a:\n  - x: 1\n  b: 2", "bad-indent", 3, 3, "'- '"),
    ("a: 1\n---\nb: 2", "many-documents", 2, 1, "one flow"),
    ("%YAML 1.2\n---\na: 1", "yaml-directive", 1, 1, "delete"),
    ("{a: 1} x", "yaml-syntax", 1, 8, "delete"),
    ("a: 1\nb: 2\na: 3", "duplicate-key", 3, 1, "rename"),
    ("<<: {a: b}", "merge-key", 1, 1, "anchor"),
    ("[a]: b", "key-not-text", 1, 1, "name: value"),
    ("1: b", "key-not-text", 1, 1, '"1"'),
    ("true: b", "key-not-text", 1, 1, '"true"'),
    ("*x : y", "key-not-text", 1, 1, "write the key out"),
    ("a: &style x\nb: *stile", "unknown-alias", 2, 4, "*style"),
    ("a: &x [*x]", "recursive-alias", 1, 8, "write the value out"),
    ("a: &x 1\nb: &x 2", "duplicate-anchor", 2, 7, "name"),
    ("a: !!python/name:os.system", "yaml-tag", 1, 4, "plain"),
    ("a: !important", "yaml-tag", 1, 4, "quote"),
    ("a: !!set {a, b}", "yaml-tag", 1, 4, "plain"),
    ("na\u200bme: x", "invisible-character", 1, 1, "'name'"),
    ("a: \u202ex", "bidi-control", 1, 4, "escape"),
    ("a: x\x85b: y", "line-separator", 1, 5, "\\u0085"),
    ("a: x\u2028b: y", "line-separator", 1, 5, "\\u2028"),
    ("a: b\n\ufeffc: d", "byte-order-mark", 2, 1, "delete"),
    ("a: b\0", "control-character", 1, 5, "\\x00"),
    ('a: "\\ud83d\\ude00"', "lone-surrogate", 1, 5, "\\U0001F600"),
    ("a: \ud800", "lone-surrogate", 1, 4, "escape"),
    ("a: 1\n<<<<<<< HEAD\nb: 2\n=======\nb: 3\n>>>>>>> x\n", "merge-conflict", 2, 1, "choose"),
    ("", "empty-file", 1, 1, "flowkit: 1"),
    ("# only this\n", "empty-file", 1, 1, "flowkit: 1"),
    (b"caf\xe9: 1", "not-utf8", 1, 4, "UTF-8"),
    ("a: 1\n".encode("utf-16"), "not-utf8", 1, 1, "UTF-8"),
    (b"a: " + b"x" * 2_200_000, "file-too-large", 1, 1, "files of their own"),
]


@pytest.mark.parametrize(("text", "code", "line", "column", "hint"), MISTAKES)
def test_one_mistake_is_one_problem_with_its_place_and_a_way_out(text: bytes | str, code: str, line: int, column: int, hint: str) -> None:
    problem = only(text)
    assert (problem.code, problem.place.line, problem.place.column) == (code, line, column)
    assert problem.hint is not None
    assert hint in problem.hint
    assert problem.place.end_column > column


def test_several_mistakes_are_reported_at_once() -> None:
    document, problems = read("a: {{ x }}\na: 1\nb: !env X\nc: *nope\nd: ok\n")
    assert [p.code for p in problems] == ["unquoted-text", "yaml-tag", "unknown-alias"]
    assert not document.complete
    assert document.root is not None
    assert plain(document.root) == {"a": 1, "d": "ok"}


def test_a_duplicate_key_names_both_lines() -> None:
    problem = only("steps:\n  reply: 1\n  other: 2\n  reply: 3\n")
    assert problem.place.line == 4
    assert "'reply'" in problem.message
    assert "line 2" in problem.message


def test_an_invisible_character_is_named_and_the_key_is_read_without_it() -> None:
    document, problems = read("ste\u200bps: 1")
    assert "U+200B" in problems[0].message
    assert document.root is not None
    assert plain(document.root) == {"steps": 1}


def test_bidi_controls_are_a_warning_and_stay_in_the_text() -> None:
    document, problems = read("k: a\u202eb\u202cc\n")
    assert [p.severity for p in problems] == ["warning"]
    assert document.root is not None
    assert plain(document.root) == {"k": "a\u202eb\u202cc"}


def test_source_lines_of_a_file_that_is_no_text_are_harmless() -> None:
    problem = only("k: \x1b[31mred\x1b[0m")
    assert problem.place.source == "k: \ufffd[31mred\ufffd[0m"


def test_problems_end_at_a_number() -> None:
    _, problems = read("a: 1\n" * 100_000)
    assert problems[-1].code == "too-many-problems"
    assert len(problems) < 300


@RELAXED
@given(st.text(st.sampled_from("ab:-?#&*!|>'\"%@`{}[],\\~ \t\n<.1é\u200b"), max_size=60) | st.text())
def test_any_text_is_read_or_refused_with_a_place_and_a_hint(text: str) -> None:
    """No text raises, none is refused in silence, and every place lies in the file."""
    document, problems = read(text)
    assert document.root is not None or problems
    assert document.complete or problems
    for problem in problems:
        assert 1 <= problem.place.line <= len(document.file.lines)
        assert 1 <= problem.place.column <= len(document.file.lines[problem.place.line - 1]) + 1
        assert problem.hint


@RELAXED
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    document, problems = read(raw)
    assert document.root is not None or problems


PRINTABLE = st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Zl", "Zp", "Cs", "Cn"])


@RELAXED
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(PRINTABLE),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4),
        max_leaves=20,
    )
)
def test_json_is_read_as_json(value: object) -> None:
    """JSON is YAML 1.2: what `json.dumps` writes is read back as it was."""
    assume(value is not None)
    assert data(json.dumps(value, ensure_ascii=False)) == value


# -- size --------------------------------------------------------------------------------------------------


def steps(count: int) -> str:
    step = (
        '  s{i}:\n    needs: [s{i}]\n    messages:\n      - system: Be good\n      - user: "Hello {{{{ inputs.x }}}}"\n    output: string\n'
    )
    return "flowkit: 1\nsteps:\n" + "".join(step.format(i=i) for i in range(count))


@pytest.mark.parametrize(
    "text",
    [
        (steps(333)),
        (steps(10_000)),
        ("k: |\n" + "  a line of the prompt\n" * 45_000),
        ("k: |\n" + "  x\n" * 3_000_000),
        ("[" * 30_000),
        ("%TAG !a! b\n" * 100_000),
        ("a\n...\n" + "%TAG !a! b\n" * 100_000),
        ("k" + " " * 1_900_000 + "b@: {"),
        ("a: {{" + "x" * 1_900_000),
        ("[x" + ",x" * 1_000_000 + "]"),
        ("[" + ",".join(f"&a{i} x" for i in range(120_000)) + "]"),
        ("[" + ",".join(f"!a{i} x" for i in range(120_000)) + "]"),
        ("{{" + ",{}: x" * 120_000 + "}"),
        "\n" * 2_000_000,
    ],
    ids=[
        "2000-lines",
        "10k-steps",
        "1mb-prompt",
        "12mb",
        "brackets",
        "directives",
        "late-directives",
        "blanks",
        "braces",
        "1m-items",
        "anchors",
        "tags",
        "odd-keys",
        "empty-lines",
    ],
)
@pytest.mark.timeout(60)
def test_no_text_takes_long(text: str) -> None:
    """What this guards against takes many minutes; the bar is the timeout of the test."""
    read(text)


@pytest.mark.timeout(60)
def test_comments_of_many_scalars_on_one_line_do_not_cost_its_square() -> None:
    document, _ = read("[x" + ",x" * 100_000 + "]")
    assert isinstance(document.root, Sequence)
    assert not any(item.comment for item in document.root.items if isinstance(item, Scalar))


# -- the corpus --------------------------------------------------------------------------------------------

READ_STAGE = [entry for entry in INDEX if entry["stage"] == "read"]


def test_the_index_names_every_file_of_the_corpus() -> None:
    assert {entry["file"] for entry in INDEX} == {path.name for path in CORPUS.glob("*.yaml")}


@pytest.mark.parametrize("entry", [e for e in READ_STAGE if not e.get("isolate")], ids=lambda e: e["file"])
def test_corpus_file_is_read_or_refused_as_indexed(entry: dict[str, Any]) -> None:
    document, problems = read((CORPUS / entry["file"]).read_bytes())
    if entry["outcome"] == "accept":
        assert not problems
        assert document.root is not None
        if same := entry.get("same_as"):
            assert plain(document.root) == data((CORPUS / same).read_bytes())
        return
    assert len(problems) == 1, problems
    problem = problems[0]
    assert problem.code == entry["code"]
    assert problem.severity == ("warning" if entry["outcome"] == "warn" else "error")
    assert problem.place.line == entry["line"]
    for word in entry.get("hint", []):
        assert word in f"{problem.message} {problem.hint}"


@pytest.mark.parametrize("name", [entry["file"] for entry in INDEX if not entry.get("needs_libyaml")])
def test_the_reader_in_python_agrees_with_the_one_in_c(name: str) -> None:
    """PyYAML without libyaml reads the same data and reports the same problems."""
    read_by = []
    for reader in (READER, yaml.SafeLoader):
        problems = Problems()
        text, file = decode((CORPUS / name).read_bytes(), path=Path("/x"), shown="x", problems=problems)
        document = Reading(file, problems).read(text, reader) if text is not None else Document(None, file, complete=False)
        found = [(p.code, p.place.line) for p in problems.ordered()]
        read_by.append((found, plain(document.root) if document.root is not None and not found else None))
    assert repr(read_by[0]) == repr(read_by[1])


CHILD = """
import json, resource, sys
from pathlib import Path
from flowkit.errors import Problems
from flowkit.source import parse
data = Path(sys.argv[1]).read_bytes()
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]) * 1024 * 1024,) * 2)
problems = Problems()
parse(data, path=Path("x"), shown="x", problems=problems)
print(json.dumps([[p.code, p.place.line] for p in problems.ordered()]))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits are set by what /proc says")
@pytest.mark.parametrize("entry", [e for e in READ_STAGE if e.get("isolate")], ids=lambda e: e["file"])
def test_hostile_corpus_file_is_refused_in_little_time_and_memory(entry: dict[str, Any]) -> None:
    command = [sys.executable, "-c", CHILD, str(CORPUS / entry["file"]), str(entry["limit_mb"])]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=entry["limit_s"] + 10, cwd=Path(__file__).parents[1], check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found[0] == [entry["code"], entry["line"]]
    assert len(found) == 1 or len(found) >= entry["min_errors"]
