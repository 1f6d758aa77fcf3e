"""`flowkit runs`: what it finds, shows, compares, exports and deletes, and what it says when it cannot."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from command_line import call, child
from counting_server import CountingServer
from recording import flow, project, run
from storing import batch_row, opened, run_row

from flowkit.store import AttemptRow
from flowkit.store.sqlite import FILE

TWO = """steps:
  say: {prompt: "Say {{ inputs.word }}"}
  each: {foreach: inputs.words, prompt: "{{ item }} after {{ steps.say.output }}"}
inputs: {word: string, words: {type: list(string), default: [a, b]}}
"""


@pytest.fixture
def server() -> Iterator[CountingServer]:
    with CountingServer() as serving:
        yield serving


@pytest.fixture
def folder(tmp_path: Path, server: CountingServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a flow, which is the current folder."""
    monkeypatch.delenv("FLOWKIT_HOME", raising=False)
    found = project(tmp_path / "work", server)
    flow(found, TWO)
    monkeypatch.chdir(found)
    return found


def runs(*args: str, code: int = 0) -> str:
    done = call("runs", *args)
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.stderr


def read(*args: str) -> dict[str, Any]:
    found = json.loads(runs(*args, "--json"))
    assert isinstance(found, dict)
    return found


def ids() -> list[str]:
    return [each["run"] for each in read("ls", "--all")["runs"]]


def put(folder: Path, *rows: Any) -> None:
    """Write rows into the record."""
    with closing(opened(folder / ".flowkit")) as store:
        store.put(*rows)


@contextmanager
def living(folder: Path, session: str) -> Iterator[None]:
    """A session whose process runs: it holds the lock on its file."""
    leases = folder / ".flowkit" / "sessions"
    leases.mkdir(parents=True, exist_ok=True)
    file = os.open(leases / f"{session}.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(file)


def test_a_flow_file_names_the_project(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any other folder."""
    shown = run(folder / "a.flow.yaml", word="x")
    monkeypatch.chdir(tmp_path)
    flow_file = str(folder / "a.flow.yaml")
    assert [each["run"] for each in read("ls", flow_file)["runs"]] == [shown.id]
    assert read("show", "--flow", flow_file)["run"] == shown.id
    assert read("diff", shown.id, "--flow", flow_file)["changed"] == {}
    assert runs("rm", "--all", "--yes", "--flow", flow_file) == ""
    assert read("ls", flow_file)["runs"] == []


def test_a_record_that_was_never_written_holds_nothing(folder: Path) -> None:
    """Whoever made it died at once; it is no damage."""
    (folder / ".flowkit").mkdir()
    (folder / ".flowkit" / FILE).touch()
    assert read("ls")["runs"] == []


# -- ls ----------------------------------------------------------------------------------------------------


def test_looking_makes_no_record(folder: Path) -> None:
    """Where nothing was recorded it says so, and leaves nothing behind."""
    assert read("ls") == {"schema": 1, "runs": [], "batches": []}
    assert "no run is recorded in .flowkit" in call("runs", "ls").stderr
    assert "no run is recorded" in runs("show", code=2)
    assert "no run is recorded" in runs("rm", "--all", "--yes", code=2)
    assert not (folder / ".flowkit").exists()


def test_the_newest_stands_first(folder: Path) -> None:
    """Each run is a line: what it was called with costs, what the record gave does not."""
    first = run(folder / "a.flow.yaml", word="x")
    second = run(folder / "a.flow.yaml", word="x")
    newest, older = read("ls")["runs"]
    assert [newest["run"], older["run"]] == [second.id, first.id]
    assert [older["usage"]["calls"], older["reused"], newest["usage"]["calls"], newest["reused"]] == [3, 0, 0, 3]
    assert older["cost"] == pytest.approx(3 * (10 + 2 * 5) / 1e6)
    assert newest["steps"] == {"succeeded": 2}
    head, line, _ = runs("ls").splitlines()
    assert head.split() == ["RUN", "WHEN", "FLOW", "STATUS", "STEPS", "CALLS", "REUSED", "TOKENS", "COST", "TIME", "REVISION"]
    assert line.startswith(second.id[:8])
    assert "succeeded" in line


def test_the_list_is_narrowed(folder: Path) -> None:
    run(folder / "a.flow.yaml", word="x", id="0123456789ab")
    run(folder / "a.flow.yaml", word="y", id="0f23456789ab")
    put(folder, run_row("aaaa", status="failed", started=10.0), run_row("bbbb", flow="other", started=20.0, status="interrupted"))
    fingerprint = read("ls", "a")["runs"][0]["fingerprint"]
    asked = {
        ("--status", "failed"): ["aaaa"],
        ("--status", "interrupted"): ["bbbb"],
        ("--status", "running"): [],
        ("--since", "1d"): ["0f23456789ab", "0123456789ab"],
        ("--since", "2001-01-01"): ["0f23456789ab", "0123456789ab"],
        ("--fingerprint", fingerprint[:6]): ["0f23456789ab", "0123456789ab"],
        ("other",): ["bbbb"],
        ("./a.flow.yaml",): ["0f23456789ab", "0123456789ab"],
        ("--limit", "1"): ["0f23456789ab"],
        (): ["0f23456789ab", "0123456789ab", "bbbb", "aaaa"],
    }
    assert {args: [each["run"] for each in read("ls", *args)["runs"]] for args in asked} == asked


def test_a_flow_that_is_not_there_is_an_error(folder: Path) -> None:
    """An empty list would say that it never ran; one whose file is there may never have."""
    run(folder / "a.flow.yaml", word="x")
    (folder / "new.flow.yaml").write_text("flowkit: 1\n")
    assert read("ls", "new.flow.yaml")["runs"] == []
    assert "error: no flow 'nosuch' is in the record" in runs("ls", "nosuch", code=2)
    assert "   hint: there are: a\n" in runs("ls", "nosuch", code=2)
    assert "no flow 'gone.flow.yaml'" in runs("ls", "gone.flow.yaml", code=2)


def test_a_run_that_went_on_has_paid_for_its_own_answers(folder: Path, server: CountingServer) -> None:
    """They are no reuse: neither in the list, nor in the run, nor in its picture; a failed one is counted against all steps."""
    server.reply = lambda body: (400, "no") if "b after" in str(body) else "fine"
    assert call("run", "a.flow.yaml", "-i", "word=x", "-q").exit_code == 3
    [line] = runs("ls").splitlines()[1:]
    assert " 1/2 " in line
    server.reply = lambda body: "fine"
    assert call("resume", "-q").exit_code == 0
    [found] = read("ls")["runs"]
    assert (found["usage"]["calls"], found["reused"]) == (3, 0)
    shown = read("show")
    assert [(step["usage"]["calls"], step["reused"]) for step in shown["steps"]] == [(1, 0), (2, 0)]
    assert "answered before this run went on" in runs("show")
    runs("show", "--html", "page.html")
    page = (folder / "page.html").read_text()
    assert "· 1 call<" in page
    assert "· 2 calls<" in page
    assert "used again ·" not in page
    assert call("run", "a.flow.yaml", "-i", "word=x", "-q").exit_code == 0
    runs("show", "--html", "page.html")
    page = (folder / "page.html").read_text()
    assert "· 2 used again<" in page
    assert "call · " not in page


def test_a_run_whose_process_died_was_interrupted(folder: Path) -> None:
    """Nobody could write so any more; as long as the process lives, the run is running."""
    put(folder, run_row("dead", session="gone", status="running"), run_row("busy", session="here", status="running"))
    with living(folder, "here"):
        assert {each["run"]: each["status"] for each in read("ls")["runs"]} == {"dead": "interrupted", "busy": "running"}
        assert [each["run"] for each in read("ls", "--status", "running")["runs"]] == ["busy"]
        assert [each["run"] for each in read("ls", "--status", "interrupted")["runs"]] == ["dead"]


def test_a_record_below_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with its own flowkit.toml has its own record; who looks from above is told where."""
    run(folder / "a.flow.yaml", word="x")
    monkeypatch.chdir(folder.parent)
    assert f"there are records of {folder.name}: go there" in call("runs", "ls").stderr


def test_a_row_that_is_damaged_is_left_out_and_counted(folder: Path) -> None:
    """What can be read is shown; what cannot is said."""
    put(folder, run_row("sound", flow="good"), run_row("broken", flow="spoilt"))
    path = folder / ".flowkit" / FILE
    path.write_bytes(path.read_bytes().replace(b"spoilt", b"spoilu"))
    assert [each["run"] for each in read("ls")["runs"]] == ["sound"]
    assert "1 row of the record cannot be read any more" in call("runs", "ls").stderr


def test_a_batch_is_one_line(folder: Path) -> None:
    """Its rows are listed when it is named."""
    tallies = {"succeeded": 2, "failed": {"timeout": 1}, "usage": {"calls": 4, "input_tokens": 9, "output_tokens": 1}, "cost": "0.5"}
    batch = batch_row("b0b0", status="succeeded", tallies=json.dumps({**tallies, "unpriced": 1, "reused": 7}))
    put(folder, batch, *(run_row(f"b0b0.{row}", batch="b0b0", row=row) for row in (2, 1)), run_row("alone"))
    paid = AttemptRow("b0b0.1", 1, 1, "ok", 0.0, input_tokens=9, output_tokens=1, cost="0.5")
    put(folder, paid, AttemptRow("b0b0.2", 1, 1, "sent", 0.0))
    found = read("ls")
    assert [each["run"] for each in found["runs"]] == ["alone"]
    [line] = found["batches"]
    assert (line["batch"], line["rows"], line["succeeded"], line["failed"]) == ("b0b0", 3, 2, {"timeout": 1})
    # What was noted of it is older than what its requests say.
    assert (line["usage"]["calls"], line["reused"], line["cost"], line["cost_known"]) == (1, 0, None, 0.5)
    assert "succeeded: 3 rows, 2 ok, 1 failed" in runs("ls")
    assert [each["run"] for each in read("ls", "--batch", "b0")["runs"]] == ["b0b0.1", "b0b0.2"]
    assert "no batch begins with 'c'" in runs("ls", "--batch", "c", code=2)


def test_a_wrong_time_is_a_wrong_option(folder: Path) -> None:
    assert "'soon' is no age such as 90m, 12h, 2d or 1w" in runs("ls", "--since", "soon", code=2)


# -- show --------------------------------------------------------------------------------------------------


def test_a_run_is_shown_with_what_was_said(folder: Path, server: CountingServer) -> None:
    """Messages, answers, tokens and cost, step by step; nothing that a model wrote is obeyed by the terminal."""
    server.reply = lambda body: "first\x1b[31m\nsecond\nthird\nfourth\nfifth"
    shown = run(folder / "a.flow.yaml", word="x")
    text = runs("show")
    assert f"run {shown.id}" in text
    assert "3 calls, 30 tokens in, 15 out, < $0.0001" in text
    assert "user      Say x" in text
    assert "answer    first␛[31m" in text
    assert "… (2 more lines, --full)" in text
    assert "\x1b" not in text
    assert "fifth" not in text
    assert "fifth" in runs("show", shown.id[:5], "--full")
    step = runs("show", shown.id[:5], "each")
    assert "item 2" in step
    assert "fifth" in step
    assert "Say x" not in step
    assert "Say x" not in runs("show", "--no-messages")


def test_what_is_printed_as_json_is_whole(folder: Path) -> None:
    shown = run(folder / "a.flow.yaml", word="x")
    found = read("show")
    assert (found["run"], found["status"], found["inputs"]) == (shown.id, "succeeded", {"word": "x", "words": ["a", "b"]})
    say, each = found["steps"]
    [call_] = say["calls"]
    assert call_["messages"] == [{"role": "user", "content": "Say x"}]
    assert call_["answer"]["text"] == say["output"]
    assert [attempt["outcome"] for attempt in call_["attempts"]] == ["ok"]
    assert (call_["model"], call_["returned"]) == ("gpt", "gpt-2026")
    assert [[part["messages"][0]["content"] for part in item["calls"]] for item in each["results"]] == [
        [f"a after {say['output']}"],
        [f"b after {say['output']}"],
    ]
    assert "messages" not in read("show", "--no-messages")["steps"][0]["calls"][0]


def test_a_run_is_named_by_the_beginning_of_its_id(folder: Path) -> None:
    """What is unknown or ambiguous is refused with those that may be meant."""
    put(folder, run_row("abc1"), run_row("abd1"), run_row("b.1", batch="b", row=1), run_row("b.11", batch="b", row=11), batch_row("b"))
    assert read("show", "ABC")["run"] == "abc1"
    assert read("show", "b.1")["run"] == "b.1"
    said = runs("show", "ab", code=2)
    assert "several runs begin with 'ab'" in said
    assert "abc1" in said
    assert "no run begins with 'x'" in runs("show", "x", code=2)
    assert "did you mean" not in runs("show", "abc2", code=2)
    assert "flowkit runs ls --batch b" in runs("show", "b", code=2)
    assert "has no step 'sya'" in runs("show", "abc1", "sya", code=2)


def test_the_page_is_for_its_user_alone(folder: Path, tmp_path: Path) -> None:
    """Whatever the file was before."""
    run(folder / "a.flow.yaml", word="x")
    page = tmp_path / "run.html"
    page.write_text("")
    page.chmod(0o644)
    runs("show", "--html", str(page))
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert "Say x" in page.read_text(encoding="utf-8")
    assert "No such file" in runs("show", "--html", str(tmp_path / "none" / "run.html"), code=2)


@pytest.mark.parametrize("later", ["as it was", "changed", "gone"])
def test_the_graph_is_that_of_then(folder: Path, tmp_path: Path, later: str) -> None:
    """Whatever became of the flow file."""
    path = folder / "a.flow.yaml"
    run(path, word="x")
    if later == "changed":
        path.write_text("flowkit: 1\nsteps: {other: {set: 1}}\n")
    if later == "gone":
        path.unlink()
    runs("show", "--html", str(tmp_path / "run.html"))
    drawn = (tmp_path / "run.html").read_text(encoding="utf-8").partition('id="timeline"')[0]
    assert "foreach item in inputs.words" in drawn
    assert "succeeded" in drawn
    assert "did not begin" not in drawn


# -- diff --------------------------------------------------------------------------------------------------


def test_two_runs_are_compared(folder: Path) -> None:
    """What changed is said, step by step; the rest is the same."""
    path = folder / "a.flow.yaml"
    first = run(path, word="x")
    path.write_text(path.read_text().replace("after", "behind"))
    second = run(path, word="x")
    found = read("diff", first.id, second.id)
    say, each = found["steps"]
    assert say["same"]
    assert not each["same"]
    assert [line for line in each["messages"] if line[:1] in "-+" and line[:3] not in {"---", "+++"}][:2] == [
        f"-  a after {first.steps['say'].output}",
        f"+  a behind {first.steps['say'].output}",
    ]
    assert "fingerprint" in found["changed"]
    text = runs("diff", first.id)
    assert "= say  the same" in text
    assert "+  a behind" in text


def test_a_step_that_failed_before_it_asked_has_lost_no_parameters(folder: Path) -> None:
    path = flow(folder, "inputs: {n: list(integer)}\nsteps: {a: {params: {temperature: 0.5}, prompt: '{{ inputs.n[0] }}'}}\n")
    run(path, n=[1])
    assert call("run", str(path), "-i", "n:=[]").exit_code == 1
    [step] = read("diff", *ids()[::-1][:2])["steps"]
    assert (step["changed"]["status"], step["params"]) == ({"first": "succeeded", "second": "failed"}, {})


# -- export ------------------------------------------------------------------------------------------------


def exported(*args: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in runs("export", *args).splitlines()]


def test_a_step_is_exported_as_a_data_set(folder: Path, tmp_path: Path) -> None:
    """A line for each accepted answer, with the question as it was asked; what was used again stands once."""
    path = folder / "a.flow.yaml"
    first = run(path, word="x")
    run(path, word="x")
    third = run(path, word="y")
    said = exported("say", "--flow", str(path))
    assert [(line["run"], line["messages"], line["output"]) for line in said] == [
        (first.id, [{"role": "user", "content": "Say x"}], first.steps["say"].output),
        (third.id, [{"role": "user", "content": "Say y"}], third.steps["say"].output),
    ]
    assert [line["item"] for line in exported("each", first.id)] == [0, 1]
    file = tmp_path / "set.jsonl"
    runs("export", "each", first.id, third.id, "-o", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_text().splitlines()) == 4
    assert "did you mean 'say'?" in runs("export", "sya", code=2)


# -- rm ----------------------------------------------------------------------------------------------------


def test_what_is_deleted_is_gone_and_the_rest_stays(folder: Path) -> None:
    path = folder / "a.flow.yaml"
    first, second = run(path, word="x"), run(path, word="y")
    said = call("runs", "rm", first.id[:6], "--yes")
    assert said.exit_code == 0, said.stderr
    assert said.stderr.startswith("deleted 1 run, ")
    assert ids() == [second.id]
    assert read("show", second.id)["steps"][0]["calls"][0]["answer"]["text"]
    with closing(sqlite3.connect(folder / ".flowkit" / FILE)) as record:
        assert record.execute("SELECT DISTINCT run FROM calls").fetchall() == [(second.id,)]


def test_nothing_is_deleted_unasked(folder: Path) -> None:
    """Where nobody can be asked, it takes --yes; and it takes a word about which."""
    run(folder / "a.flow.yaml", word="x")
    assert "this deletes 1 run; say --yes" in runs("rm", "--all", code=2)
    assert "name runs, or say" in runs("rm", "--yes", code=2)
    assert len(ids()) == 1


def test_what_still_runs_stays(folder: Path) -> None:
    put(folder, run_row("busy", session="here", status="running"), run_row("done"))
    with living(folder, "here"):
        assert "busy still runs, and cannot be deleted" in runs("rm", "busy", "--yes", code=2)
        assert "busy still runs, and stays" in call("runs", "rm", "--all", "--yes").stderr
        assert ids() == ["busy"]


def test_the_old_go_alone(folder: Path) -> None:
    """With a batch go its rows."""
    put(folder, run_row("old", started=10.0), batch_row("b"), run_row("b.1", batch="b", row=1))
    newest = run(folder / "a.flow.yaml", word="x")
    assert call("runs", "rm", "b", "--yes").stderr.startswith("deleted 1 run and 1 batch")
    runs("rm", "--older-than", "30d", "--yes")
    assert ids() == [newest.id]


# -- bad records -------------------------------------------------------------------------------------------


def test_a_damaged_record_is_said_and_left_alone(folder: Path) -> None:
    """Who only looks moves nothing."""
    file = folder / ".flowkit" / FILE
    file.parent.mkdir()
    file.write_bytes(b"this is no database" * 400)
    for line in (("ls",), ("show",), ("rm", "--all", "--yes")):
        assert "is damaged" in runs(*line, code=1)
    assert [path.name for path in file.parent.iterdir()] == [FILE]


def test_a_newer_record_is_refused(folder: Path) -> None:
    run(folder / "a.flow.yaml", word="x")
    with closing(sqlite3.connect(folder / ".flowkit" / FILE)) as record:
        record.execute("PRAGMA user_version = 99")
    assert "has form 99" in runs("ls", code=1)


def test_a_record_that_cannot_be_written_can_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking writes nothing, so it needs no leave to."""
    shown = run(folder / "a.flow.yaml", word="x")
    with tempfile.TemporaryDirectory() as outside:  # pytest's own folder is closed to other users
        place = Path(outside, "record")
        place.mkdir()
        shutil.copy(folder / ".flowkit" / FILE, place)
        for path in (place / FILE, place, Path(outside)):
            path.chmod(0o555 if path.is_dir() else 0o444)
        monkeypatch.setenv("FLOWKIT_HOME", str(place))
        monkeypatch.chdir("/")
        assert ids() == [shown.id]  # whoever that is; now all that is imported on the way is there
        before = os.geteuid()
        if before == 0:  # root may write anywhere
            for left in (place / f"{FILE}-wal", place / f"{FILE}-shm"):
                left.unlink(missing_ok=True)
            os.seteuid(65534)
        try:
            found = ids()
        finally:
            os.seteuid(before)
        files = [path.name for path in place.iterdir()]
        Path(outside).chmod(0o755)
        place.chmod(0o755)
    assert found == [shown.id]
    assert files == [FILE]


def test_it_reads_while_another_writes(folder: Path) -> None:
    shown = run(folder / "a.flow.yaml", word="x")
    with closing(sqlite3.connect(folder / ".flowkit" / FILE, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM calls")
        assert ids() == [shown.id]
        assert read("show")["steps"][0]["calls"]
        writer.execute("ROLLBACK")


def test_who_is_asked_may_say_no(folder: Path) -> None:
    """The question is put on a terminal alone, so a pseudo-terminal asks here."""
    pty = pytest.importorskip("pty")
    run(folder / "a.flow.yaml", word="x")
    main, other = pty.openpty()
    process = child("runs", "rm", "--all", stdin=other, stdout=other, stderr=other)
    os.close(other)
    os.write(main, b"n\n")
    said = b""
    with suppress(OSError):  # how a terminal ends whose other side is closed
        while piece := os.read(main, 4096):
            said += piece
    assert process.wait(20) == 0
    os.close(main)
    assert b"Delete 1 run?" in said
    assert b"nothing was deleted" in said
    assert len(ids()) == 1
