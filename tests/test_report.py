"""The page of a run: whatever was said stays text, nothing is loaded, and all of it is there."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from counting_server import CountingServer
from recording import failed, flow, project, run
from storing import call_row, opened, run_row

from flowkit.errors import RunError
from flowkit.history.tree import tree
from flowkit.report import page
from flowkit.report.markup import folded
from flowkit.report.timeline import timeline
from flowkit.store import AttemptRow, ItemRow, StepRow

HOSTILE = (
    '</pre></details></script><script>alert(1)</script><img src="http://evil.example/x.png"><style>*{display:none}</style>'
    "\x1b[2J\x00\u202etxt.exe\uffff<!-- ]]> &lt;&amp;"
)
#: Elements that end where they begin.
VOID = {"meta"}


class Read(HTMLParser):
    """Reads a page as a browser would: elements, their attributes, and the text that people see."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.elements}


def shown(folder: Path, **more: Any) -> str:
    with_store = opened(folder / ".flowkit")
    try:
        [row] = with_store.runs()
        return page(tree(with_store, row), more.pop("picture", None), "no reason", now=2000.0)
    finally:
        with_store.close()


def test_what_was_said_stays_text(tmp_path: Path) -> None:
    """Neither an answer, nor an input, nor an error, nor the file itself can add an element, load anything or run."""
    with CountingServer(reply=lambda body: HOSTILE if "b" not in str(body["messages"]) else (400, HOSTILE)) as server:
        work = project(tmp_path / "work", server)
        path = flow(
            work,
            f"description: {HOSTILE[:20]!r}\ninputs: {{word: string}}\nsteps:\n  a: {{prompt: 'A {{{{ inputs.word }}}}'}}\n"
            "  c: {needs: [a], prompt: 'b'}\n",
        )
        assert isinstance(failed(path, word=HOSTILE), RunError)
    text = shown(work)
    read = Read(text)
    assert not read.names & {"script", "img", "link", "iframe", "object", "base", "form", "video", "audio", "image", "use"}
    assert not {name for _, held in read.elements for name in held if name.startswith("on") or name in {"src", "srcset", "style"}}
    assert {held["href"] for _, held in read.elements if "href" in held} <= {"#graph", "#timeline", "#steps", "#data", "#source"}
    assert text.count("<style") == 1
    assert "url(" not in text.partition("<body>")[0]
    assert not set("\x00\x1b\u202e\uffff") & set(text)
    assert "</pre></details></script><script>alert(1)</script>" in read.text
    assert "␛[2J" in read.text
    assert [held["content"] for name, held in read.elements if held.get("http-equiv") == "Content-Security-Policy"] == [
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    ]


def test_all_that_was_said_is_there(tmp_path: Path) -> None:
    """Every message and answer, of every item, the parameters, inputs, outputs and the text of the flow; long ones whole."""
    long = "\n".join(f"line {number}" for number in range(5000))
    with CountingServer(reply=lambda body: f"echo of {body['messages'][-1]['content']}") as server:
        work = project(tmp_path / "work", server)
        path = flow(
            work,
            "inputs: {words: list(string)}\nsteps:\n  each:\n    foreach: inputs.words\n    params: {temperature: 0.125}\n"
            "    messages:\n      - system: Be kind.\n      - user: '{{ item }}'\n",
        )
        run(path, words=["one", "two", long])
    read = Read(shown(work))
    for said in ("Be kind.", "echo of one", "echo of two", f"echo of {long}", "0.125", "foreach: inputs.words", "item 2"):
        assert said in read.text, said[:40]


@pytest.mark.parametrize(("said", "is_open"), [("short", True), ("x" * 5000, False), ("line\n" * 40, False)])
def test_long_texts_are_folded(said: str, is_open: bool) -> None:
    assert ('<details class="said user" open>' in folded("user", said, kind="user")) is is_open


def test_ten_megabytes_are_written_once(tmp_path: Path) -> None:
    """An answer that is also the output of its step stands there once, beside the outputs of the run."""
    with CountingServer(reply=lambda body: "<b> " * 2_500_000) as server:
        work = project(tmp_path / "work", server)
        run(flow(work, "steps: {a: {prompt: hi}}\n"))
    text = shown(work)
    assert text.count("&lt;b&gt; &lt;b&gt; " * 20_000) < 2 * 2_500_000 / 40_000 + 1
    assert "10,000,000 characters" in text


# -- times -------------------------------------------------------------------------------------------------


def times(folder: Path, *rows: Any, **row: Any) -> str:
    store = opened(folder)
    try:
        found = run_row(**row)
        store.put(found, *rows)
        store.flush()
        return timeline(tree(store, found))
    finally:
        store.close()


def step(name: str, at: float, seconds: float, **more: Any) -> StepRow:
    said = {"item": -1, "kind": "chat", "status": "succeeded", "output": None, "model": None, "error": None, "message": None}
    return StepRow(
        "r1",
        name,
        at=at,
        seconds=seconds,
        **{**said, "attempts": 1, "reused": 0, "input_tokens": None, "output_tokens": None, "cost": None, "items": None, **more},
    )


def spans(drawn: str, ink: str) -> list[tuple[float, float]]:
    found = re.findall(rf'class="t-{ink}" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawn)
    return [(float(x), float(wide)) for x, wide in found]


def test_bars_lie_where_time_says(tmp_path: Path) -> None:
    """A step that took twice as long is twice as broad; a wait stands before its request."""
    attempts = [
        AttemptRow("r1", 1, 1, "rate_limit", 1000.5, 429, 1.0),
        AttemptRow("r1", 1, 2, "ok", 1002.5, 200, 2.0, waited=1.0),
    ]
    drawn = times(tmp_path, step("say", 0.0, 4.0), step("then", 4.0, 2.0), call_row(started=1000.5), *attempts)
    (first, wide), (second, narrow) = spans(drawn, "span")
    assert wide == pytest.approx(2 * narrow, abs=0.2)
    assert second == pytest.approx(first + wide, abs=0.2)
    [(failed_at, failed_wide)], [(waited_at, waited_wide)], [(ok_at, ok_wide)] = (spans(drawn, ink) for ink in ("fail", "wait", "ok"))
    assert [waited_at, ok_at] == pytest.approx([failed_at + failed_wide, waited_at + waited_wide], abs=0.2)
    assert ok_wide == pytest.approx(2 * waited_wide, abs=0.2)


def test_items_and_calls_are_numbered_as_people_count(tmp_path: Path) -> None:
    """Items from 1, and the calls of a step by themselves, as on a terminal."""
    calls = [call_row(number=n, started=1000.5, state="answered", step="say", item=n - 7) for n in (7, 8)]
    store = opened(tmp_path)
    store.put(run_row(resumed=1), step("say", 0.0, 2.0, items=2), *calls, call_row(number=9, step="say", item=1, state="answered"))
    store.put(*(AttemptRow("r1", n, 1, "ok", 1000.5, 200, 1.0) for n in (7, 8, 9)))
    store.flush()
    text = page(tree(store, run_row(resumed=1)), None, "", now=2000.0)
    store.close()
    assert re.findall(r"item \d+ <span|<b>call[ \d]*</b>", text) == [
        "item 1 <span",
        "<b>call</b>",
        "item 2 <span",
        "<b>call 1</b>",
        "<b>call 2</b>",
    ]
    assert ">item 2</text>" in text
    assert "since it went on last" in text


@pytest.mark.parametrize(
    ("more", "columns"), [({}, 7), ({"revision": "abc"}, 4), ({"revision": "abc", "resumed": 1}, 5)], ids=["7 facts", "8 facts", "9 facts"]
)
def test_no_fact_stands_in_a_line_alone(tmp_path: Path, more: dict[str, Any], columns: int) -> None:
    row = run_row(**more)
    store = opened(tmp_path)
    store.put(row, call_row(state="answered"), AttemptRow("r1", 1, 1, "ok", 1000.5, 200, 1.0, input_tokens=1, output_tokens=1))
    store.flush()
    text = page(tree(store, row), None, "", now=2000.0)
    store.close()
    assert text.count("<dt>") == 7 + len(more)
    assert f'<dl class="facts of{columns}">' in text
    assert f".of{columns}{{grid-template-columns" in text


def test_the_pause_of_a_resumed_run_is_cut_short(tmp_path: Path) -> None:
    """What happened before and after stays broad enough to see, though a day lies between."""
    calls = [call_row(number=1, started=1000.5, state="answered"), call_row(number=2, started=90000.0, state="answered", step="then")]
    attempts = [AttemptRow("r1", 1, 1, "ok", 1000.5, 200, 2.0), AttemptRow("r1", 2, 1, "ok", 90000.0, 200, 2.0)]
    drawn = times(tmp_path, step("say", 0.0, 2.0), step("then", 0.0, 2.0), *calls, *attempts, resumed=1)
    assert all(wide > 300 for _, wide in spans(drawn, "ok"))
    assert 'class="t-gap"' in drawn


def test_of_many_items_some_are_drawn(tmp_path: Path) -> None:
    items = [ItemRow("r1", "say", number, "succeeded", None, None, 1.0, 0.5, 0) for number in range(1000)]
    drawn = times(tmp_path, step("say", 0.0, 1.0, items=1000), *items)
    assert len(spans(drawn, "span")) == 31
    assert "… 970 more items" in drawn


def test_a_run_without_times_has_no_picture(tmp_path: Path) -> None:
    assert times(tmp_path) == ""
