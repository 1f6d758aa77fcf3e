"""The canonical layout: what it looks like, and that it changes nothing but the looks."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from random_layouts import files

from flowkit import source
from flowkit.errors import FlowError, Problems
from flowkit.keys import TABLES
from flowkit.layout import Unfaithful, laid_out, law, order
from flowkit.source import Mapping, Node, Scalar, Sequence, plain

HERE = Path(__file__).parent
#: The comments of a random layout, and no line of a text that looks like one.
COMMENT = r"# (?:above|beside|at the end|yaml-).*"
CORPUS = sorted(path for folder in ("flows", "corpus/yaml", "../flows") for path in (HERE / folder).rglob("*.yaml"))


def formatted(text: str | bytes) -> str:
    data = text if isinstance(text, bytes) else text.encode()
    return laid_out(data, path=Path("x.flow.yaml"), shown="x.flow.yaml").decode()


def read(text: str) -> source.Document:
    problems = Problems()
    found = source.parse(text, path=Path("x.flow.yaml"), shown="x.flow.yaml", problems=problems)
    assert not problems.fatal, problems.ordered()
    return found


# -- the law -----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(files())
def test_any_layout_keeps_data_and_comments_and_is_stable(made: tuple[dict[str, Any], str]) -> None:
    """Whatever an author chose, data and comments stay, each comment at its owner, and a second pass changes nothing."""
    data, text = made
    assert plain(read(text).root) == data, "the author of this test"
    new = formatted(text.encode())
    assert plain(read(new).root) == data
    assert sorted(re.findall(COMMENT, new)) == sorted(re.findall(COMMENT, text))
    assert strangers(new) == []
    assert formatted(new.encode()) == new


def strangers(text: str) -> list[str]:
    """The comments of a random layout that do not stand at what they are about."""
    begins: dict[int, set[str]] = {}
    ends: dict[int, set[str]] = {}
    mark(read(text).root, "", begins, ends)
    lines = text.split("\n")
    found = []
    for number, line in enumerate(lines, 1):
        said = re.search(r"# (above|beside) (\S+)$", line)
        alone = line.lstrip("- ").startswith("#")  # also behind a `-` whose value begins below
        if said and said[1] == "beside" and not alone and said[2] not in begins.get(number, set()) | ends.get(number, set()):
            found.append(line)
        if said and (said[1] == "above" or alone):
            # What a `-` holds may begin below it, behind further ones, each with a comment of its own.
            rows = [(n, row) for n, row in enumerate(lines[number:], number + 1) if row.strip() and not row.lstrip().startswith("# ")]
            last = next(n for n, row in rows if row.strip("- ") and not row.lstrip("- ").startswith("# "))
            found += [] if any(said[2] in begins.get(n, set()) for n, _ in rows if n <= last) else [line]
    return found


def mark(node: Node | None, path: str, begins: dict[int, set[str]], ends: dict[int, set[str]]) -> None:
    """Note on which line each path begins, and where its value ends if that is no block."""
    inner: list[tuple[str, int, Node]] = []
    if isinstance(node, Mapping):
        inner = [(name, entry.key.line, entry.value) for name, entry in node.named.items()]
    elif isinstance(node, Sequence):
        inner = [(str(number), item.line, item) for number, item in enumerate(node.items)]
    for name, line, value in inner:
        begins.setdefault(line, set()).add(f"{path}/{name}")
        if value.file.lines[value.line - 1][value.column - 1 : value.column] in {"{", "["} or isinstance(value, Scalar):
            ends.setdefault(value.end_line, set()).add(f"{path}/{name}")
        mark(value, f"{path}/{name}", begins, ends)


def kept(path: Path) -> bool:
    """Whether a file of the corpus can be read at all."""
    try:
        laid_out(path.read_bytes(), path=path, shown=path.name)
    except FlowError:
        return False
    return True


def test_every_file_of_the_corpora_keeps_its_data_and_is_stable() -> None:
    """Our flows, those of the tests, and hostile YAML: what can be read is laid out, and a second pass changes nothing."""
    read_ = [path for path in CORPUS if kept(path)]
    assert len(read_) > 350
    for path in read_:
        old = path.read_bytes()
        new = laid_out(old, path=path, shown=path.name)
        assert laid_out(new, path=path, shown=path.name) == new, path
        if b".nan" not in old:
            assert plain(read(new.decode()).root) == plain(read(old.decode()).root), path


def test_what_would_change_the_data_is_never_handed_out() -> None:
    """The law itself: other data, another order where order counts, a lost comment or anchor are refused."""
    old = "flowkit: 1\nsteps:\n  a: {set: &x {b: 1, c: 2}} # note\n"
    before = read(old)
    law.hold(before, old, "steps:\n    a: {set: &x {b: 1, c: 2}}   # note\nflowkit: 1\n")
    for new in (
        old.replace("b: 1", "b: 2"),
        old.replace("b: 1", "b: '1'"),
        old.replace("b: 1, c: 2", "c: 2, b: 1"),
        old.replace("# note", ""),
        old.replace("&x ", ""),
        old.replace("flowkit: 1\n", ""),
        old + "\t",
        "a: [",
    ):
        with pytest.raises(Unfaithful):
            law.hold(before, old, new)


def test_a_file_that_cannot_be_read_is_refused_with_its_problems() -> None:
    with pytest.raises(FlowError) as refused:
        formatted("steps:\n\ta: 1\n")
    assert [(problem.severity, problem.place.line) for problem in refused.value.problems] == [("error", 2)]


# -- what it looks like ------------------------------------------------------------------------------------


def test_blocks_are_indented_by_two_and_lists_below_their_key() -> None:
    assert formatted("steps:\n    a:\n        messages:\n        -   user: hi\n            x: y\n        -\n            - - 1\n") == dedent("""\
        steps:
          a:
            messages:
              - user: hi
                x: y
              - - - 1
        """)


def test_keys_of_a_flow_and_of_its_steps_are_ordered_and_nothing_else_is() -> None:
    text = dedent("""\
        steps:
          b:
            prompt: hi
            x-note: follows prompt
            foreach: inputs.all
            output: {z: string, a: string}
            params: {top_p: 1, temperature: 0}
          a: {prompt: hi, model: m}
        outputs: {b: 1, a: 2}
        x-first: 1
        name: n
        flowkit: 1
        """)
    assert formatted(text) == dedent("""\
        flowkit: 1
        name: n

        steps:
          b:
            foreach: inputs.all
            params: {top_p: 1, temperature: 0}
            prompt: hi
            x-note: follows prompt
            output: {z: string, a: string}
          a: {prompt: hi, model: m}

        outputs: {b: 1, a: 2}
        x-first: 1
        """)


def test_a_file_that_is_no_flow_keeps_the_order_of_its_keys() -> None:
    text = "steps: 1\nname: 2\ninputs: 3\n"
    assert formatted(text) == text


def test_every_key_of_a_step_has_its_place() -> None:
    """A new key of a step is a decision about its place too."""
    assert set(order.STEP) == set(TABLES["step"].names())
    assert len(set(order.STEP)) == len(order.STEP)


def test_an_anchor_never_moves_below_its_alias() -> None:
    text = "steps:\n  a: {params: &cold {temperature: 0}}\n\ndefaults: {params: *cold}\nflowkit: 1\n"
    assert formatted(text) == text


def test_sections_have_a_blank_line_around_them_and_elsewhere_one_is_kept() -> None:
    text = "flowkit: 1\n\n\nname: n\ninputs:\n\n  a: string\n\n\n  b: string\nsteps:\n  c:\n    set: 1\n\n\n"
    assert formatted(text) == "flowkit: 1\n\nname: n\n\ninputs:\n  a: string\n\n  b: string\n\nsteps:\n  c:\n    set: 1\n"


def test_comments_stay_at_what_they_are_about() -> None:
    text = dedent("""\
        # about the file

        # yaml-language-server: $schema=x
        # about the steps
        steps:      # the steps
            # about a
            a:
                prompt: |   # the prompt
                        # this is text
                        hi
                # about the model
                model: m    # the model
                # below a
            # below the steps
        # about the version
        flowkit: 1
        # the end
        """)
    assert formatted(text) == dedent("""\
        # about the file

        # yaml-language-server: $schema=x
        # about the version
        flowkit: 1

        # about the steps
        steps:      # the steps
          # about a
          a:
            # about the model
            model: m    # the model
            prompt: |   # the prompt
              # this is text
              hi
            # below a
          # below the steps
        # the end
        """)


@pytest.mark.parametrize(
    ("written", "laid"),
    [
        ("a: |\n     x\n       y\n\n     z\n", "a: |\n  x\n    y\n\n  z\n"),
        ("a: |4-\n        x\n       y\n", "a: |2-\n      x\n     y\n"),
        ("a: >+\n    x\n\n\nb: 1\n", "a: >+\n  x\n\n\nb: 1\n"),
        ("a: |+\n    x\n\n# c\n\n\nb: 1\n", "a: |+\n  x\n\n# c\n\nb: 1\n"),
        ("a: |\n    x\n\n\n\nb: 1\n", "a: |\n  x\n\nb: 1\n"),
        ("a: |\n    x", "a: |-\n  x\n"),
        ("a: |\n    x  \n      \n    y\n", "a: |\n  x  \n    \n  y\n"),
        ("a: |\n\n\n", "a: |\n"),
        ("- |\n x\n-   >-\n  y\n", "- |\n  x\n- >-\n  y\n"),
    ],
)
def test_a_block_of_text_is_moved_as_a_whole(written: str, laid: str) -> None:
    assert formatted(written) == laid


@pytest.mark.parametrize(
    ("written", "laid"),
    [
        (r'a: "x\ny\n"', "a: |\n  x\n  y\n"),
        (r'a: "x\n\n  y \"z\" \\ é"', 'a: |-\n  x\n\n    y "z" \\ é\n'),
        (r'a: "x\n"', 'a: "x\\n"\n'),
        (r'a: "x \ny"', 'a: "x \\ny"\n'),
        (r'a: " x\ny"', 'a: " x\\ny"\n'),
        (r'a: "x\ny\n\n"', 'a: "x\\ny\\n\\n"\n'),
        (r'a: "x\n\u200by"', 'a: "x\\n\\u200by"\n'),
        (r'a: ["x\ny"]', 'a: ["x\\ny"]\n'),
        (r'a: "x\ny"   # why', 'a: "x\\ny"   # why\n'),
    ],
)
def test_a_text_with_escaped_line_breaks_becomes_a_block_if_it_reads_the_same(written: str, laid: str) -> None:
    """Not where blanks or characters that cannot be seen would become part of the file."""
    assert formatted(written) == laid


@pytest.mark.parametrize(
    ("written", "laid"),
    [
        ("a: { b : 1 ,c:   [ 1,2, ] }\n", "a: {b: 1, c: [1, 2]}\n"),
        ("a: [ ]\n", "a: []\n"),
        (
            "a: [ # first\n  1,\n\n  # second\n  {b: 2,\n  c: 3}\n]\n",
            "a: [ # first\n    1,\n\n    # second\n    {b: 2,\n      c: 3}\n  ]\n",
        ),
        ("a: [&x 1 , *x ]\n", "a: [&x 1, *x]\n"),
        ('a: {"b":1}\n', 'a: {"b": 1}\n'),
    ],
)
def test_brackets_keep_their_lines(written: str, laid: str) -> None:
    assert formatted(written) == laid


@pytest.mark.parametrize(
    "text",
    [
        "a: it's\nb: 'x'\nc: \"x\"\nd: '1.10'\n",
        "description: a text\n  over two lines\n\n  and a paragraph\n",
        "a:\n  a long text that begins below its key\n",
        'a: "x \\\n  y\\\n  \\ z"\n',
        "# head\n---\na: 1\n# foot\n... # end\n# below\n",
        "a: &x # anchored\n  b: 1\n\nc: *x\n",
        "a: &x\n",
        "a:\n  # nothing yet\nb: 1\n",
        "- # why\n  a: 1\n",
        "- &x\n  a: 1\n",
        "a:\n  # why\n  1\n",
        "a: " + "word " * 100 + "end\n",
        "[1, 2]\n",
        "text\n",
    ],
)
def test_what_an_author_may_choose_stays(text: str) -> None:
    """Quotes, line breaks inside texts, long lines, anchors, markers of the document."""
    assert formatted(text) == text


def test_a_key_with_a_question_mark_is_written_plain() -> None:
    assert formatted("? a\n# why\n: 1\n? b\n? c\n  d\n: 2\n") == "a:\n  # why\n  1\nb:\nc d: 2\n"


def test_line_ends_and_the_mark_of_byte_order_stay() -> None:
    """Mixed line ends become those of most lines; a carriage return alone is an old line end."""
    assert formatted(b"\xef\xbb\xbfa:   1\r\nb: |\r\n    x\r\n") == "\ufeffa: 1\r\nb: |\r\n  x\r\n"
    assert formatted(b"a: 1\r\nb: 1\nc: 1\n") == "a: 1\nb: 1\nc: 1\n"
    assert formatted(b"a: 1\rb: 1") == "a: 1\nb: 1\n"


def test_trailing_blanks_go_and_one_line_break_ends_the_file() -> None:
    assert formatted("a: 1 \t\nb:  \n  - c  # d  \n   \n\n") == "a: 1\n\nb:\n  - c  # d\n"


def test_the_example_of_the_docs_is_what_comes_out() -> None:
    page = (HERE.parent / "docs" / "fmt.md").read_text(encoding="utf-8")
    before, after = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert formatted(before) == after


def test_the_docs_name_the_order_of_a_step() -> None:
    page = (HERE.parent / "docs" / "fmt.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| order in a step \| (.*) \|$", page, re.MULTILINE)
    assert tuple(re.findall(r"`(\w+)`", row)) == order.STEP
