"""What happens when the record cannot be written: nothing more is paid for, what was kept stays whole, and people are told what to do."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from command_line import child
from counting_server import CountingServer, last
from recording import flow, integrity, looked, project, run
from storing import Warned, opened, run_row, sound, tables

import flowkit
from flowkit.chat import Attempt, ChatRequest, Completion, Message
from flowkit.endpoints import Endpoint
from flowkit.errors import RunError, StoreError
from flowkit.lookup import Recorder
from flowkit.provenance import Provenance
from flowkit.record import Entry, RunRecord
from flowkit.results import Run, Status
from flowkit.store import AttemptRow, NoteRow, Store
from flowkit.store.sqlite import FILE

CHAIN = """\
steps:
  a: {prompt: A}
  b: {prompt: "B {{ steps.a.output }}"}
  c: {prompt: "C {{ steps.b.output }}"}
  d: {prompt: "D {{ steps.c.output }}"}
"""
MANY = """\
inputs: {n: list(integer)}
steps:
  many: {foreach: inputs.n, max_parallel: 8, prompt: "Item {{ item }}"}
"""


def plain(body):
    return json.dumps(body, sort_keys=True)


def noted(folder: Path) -> Counter[str]:
    """The requests that the record knows of, by body."""
    found: Counter[str] = Counter()
    with closing(looked(folder)) as store:
        for made in store.runs():
            bodies = {call.number: plain(json.loads(store.body(call.request) or "")) for call in store.calls(made.id)}
            found.update(bodies[attempt.call] for attempt in store.select(AttemptRow, "run = ?", (made.id,)) if attempt.outcome != "unsent")
    return found


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, said = process.communicate(timeout=60)
    assert "Traceback" not in said
    return process.returncode, out, said


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte in the place of the record."""
    place = tmp_path / "p" / ".flowkit"
    place.mkdir(parents=True)
    if not shutil.which("mount") or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def remount(place: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", place], check=True)


# -- the store -----------------------------------------------------------------------------------------------


def test_a_full_disk_is_said_and_what_was_written_stays(tmp_path):
    store = opened(tmp_path, most_pages=30)
    store.put(run_row())
    store.flush()
    store.put(*(NoteRow("r1", number, "s", None, "repair", 0.0, "x" * 1000) for number in range(200)))
    for _ in range(2):
        with pytest.raises(StoreError, match=r"cannot be written: the disk is full; nothing more is paid for. Make room, and go on"):
            store.flush()
    assert store.run("r1") == run_row()
    with pytest.raises(StoreError, match="the disk is full"):
        store.close()
    assert sound(tmp_path)
    with closing(opened(tmp_path)) as again:
        assert again.runs() == [run_row()]


def test_when_there_is_room_again_the_store_goes_on(small_disk):
    """A service need not be started anew; what waited is written."""

    async def main() -> None:
        store.put(*(NoteRow("r1", number, "s", None, "repair", 0.0, "x" * 1000) for number in range(1500)))
        with pytest.raises(StoreError, match="disk is full"):
            await store.commit()
        remount(small_disk, "size=20m")
        await store.commit()

    with closing(opened(small_disk)) as store:
        asyncio.run(main())
        assert len(store.notes("r1")) == 1500
    assert sound(small_disk)


def test_a_lock_of_another_process_is_waited_for_and_then_said(tmp_path):
    with closing(opened(tmp_path, busy=0.3)) as store, closing(sqlite3.connect(tmp_path / FILE, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.put(run_row())
        with pytest.raises(StoreError, match=r"is locked by another process; try again when it is done, or run with --no-record"):
            store.flush()
        timer = threading.Timer(0.1, lambda: other.execute("ROLLBACK"))
        timer.start()
        store.flush()
        timer.join()
        assert store.run("r1") is not None


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot be used: Not a directory; without it: --no-record"):
        opened(tmp_path / "file" / ".flowkit")
    (tmp_path / FILE).mkdir()
    with pytest.raises(StoreError, match="record"):
        opened(tmp_path, Warned())


# -- runs ----------------------------------------------------------------------------------------------------


def _ids(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / ".flowkit" / FILE)) as connection:
        return [str(id_) for (id_,) in connection.execute("SELECT id FROM runs")]


def test_on_a_full_disk_nothing_more_leaves_and_with_room_only_the_rest_is_paid(tmp_path, small_disk):
    folder = small_disk.parent
    items = json.dumps(list(range(60)))
    with CountingServer(reply=lambda body: last(body) + " " + "x" * 20_000, delay=0.002) as server:
        path = flow(project(folder, server), MANY)
        code, out, said = ended(child("run", str(path), "-i", f"n:={items}", "--json"))
        assert code == 1
        assert json.loads(out)["error"]["kind"] == "store"
        assert re.search(r"the disk is full; nothing more is paid for\. Make room, and go on", said)
        assert said.count("the disk is full") == 1, "it is said once"
        first = server.count
        assert 8 < first < 60
        code, _, said = ended(child("run", str(path), "-i", f"n:={items}", "-q"))
        assert code == 1
        assert said.count("the disk is full") == 1
        hinted = re.findall(r"flowkit resume (\w+)", said)
        assert all(any(id_.startswith(each) for id_ in _ids(folder)) for each in hinted), "a run that was not written cannot go on"
        assert server.count - first <= 8, "it was full from the start"
        remount(small_disk, "size=20m")
        assert Counter(map(plain, server.bodies)) <= noted(folder), "a request left that nobody noted"
        code, out, _ = ended(child("run", str(path), "-i", f"n:={items}", "--json"))
        assert code == 0
        assert 60 <= server.count <= 60 + 2 * 8
        assert len(json.loads(out)["outputs"]["many"]) == 60
    assert integrity(folder) == "ok"


def test_a_record_that_cannot_be_written_is_said_before_anything_is_paid_and_may_be_left_out(tmp_path, small_disk):
    with CountingServer() as server:
        path = flow(project(small_disk.parent, server), CHAIN)
        run(path)
        assert server.count == 4
        remount(small_disk, "ro")
        path.write_text(path.read_text().replace("prompt: A", "prompt: AA"))
        code, out, said = ended(child("run", str(path)))
        assert (code, out, server.count) == (1, "", 4)
        assert "Read-only file system" in said
        assert "--no-record" in said
        assert ended(child("run", str(path), "--no-record", "-q"))[0] == 0
        assert server.count == 8
        remount(small_disk, "rw")
    assert integrity(small_disk.parent) == "ok"


@pytest.mark.parametrize("size", [30_000, 200_000])
def test_a_limit_on_the_size_of_files_is_like_a_full_disk(tmp_path, size, monkeypatch):
    for name in [name for name in os.environ if name.startswith("COVERAGE")]:
        monkeypatch.delenv(name)  # what watches the child writes files too
    items = json.dumps(list(range(60)))
    with CountingServer(reply=lambda body: last(body) + " " + "x" * 5_000) as server:
        path = flow(project(tmp_path, server), MANY)
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))  # noqa: E731 - it has no name
        code, out, said = ended(child("run", str(path), "-i", f"n:={items}", "-q", preexec_fn=limit, env={"PYTHONDONTWRITEBYTECODE": "1"}))
        assert (code, out) == (1, "")
        assert "the record" in said
        assert "cannot be" in said
        assert server.count < 60
        if (tmp_path / ".flowkit" / FILE).stat().st_size:
            assert Counter(map(plain, server.bodies)) <= noted(tmp_path)
            assert integrity(tmp_path) == "ok"
        else:
            assert server.count == 0


def injected(folder: Path, path: Path, how: str) -> subprocess.Popen[str]:
    """A run whose system calls on the record fail."""
    if not shutil.which("strace"):
        pytest.skip("strace is not here")
    store = folder / ".flowkit"
    files = [f"--trace-path={store / name}" for name in (FILE, f"{FILE}-wal")]
    return subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", *files, "-e", how, sys.executable, "-m", "flowkit", "run", str(path), "-q"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(flowkit.__file__).parent.parent)},
    )


def failing(tmp_path: Path, how: str) -> None:
    with CountingServer() as server:
        path = flow(project(tmp_path, server), CHAIN)
        opened(tmp_path / ".flowkit").close()
        before = (tmp_path / ".flowkit" / FILE).stat().st_size
        process = injected(tmp_path, path, f"inject={how}")
        code, _, said = ended(process)
        if "ptrace" in said.lower():
            pytest.skip("nothing can be traced here")
        assert before
        if code:
            assert code == 1, said
            assert "the record" in said
        assert Counter(map(plain, server.bodies)) <= noted(tmp_path), "a request left that nobody noted"
        assert integrity(tmp_path) == "ok"
        first = server.count
        assert ended(child("run", str(path), "-q"))[0] == 0
        assert 4 <= server.count <= 5, (first, server.count)


@pytest.mark.parametrize("at", ["1+", "6+", "9", "20"])
def test_a_write_that_fails_stops_the_run_before_it_pays_for_more(tmp_path, at):
    failing(tmp_path, f"pwrite64:error=EIO:when={at}")


@pytest.mark.parametrize("at", ["1+", "4"])
def test_a_sync_that_fails_does_so_too(tmp_path, at):
    failing(tmp_path, f"fdatasync:error=EIO:when={at}")


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
def test_every_write_may_fail(tmp_path, call):
    for number in range(1, 60):
        folder = tmp_path / str(number)
        folder.mkdir()
        failing(folder, f"{call}:error=EIO:when={number}")


@pytest.mark.long
def test_a_run_waits_for_a_lock_and_then_says_who_has_it(tmp_path):
    """It waits for 10 seconds."""
    with CountingServer() as server:
        path = flow(project(tmp_path, server), CHAIN)
        run(path)
        with closing(sqlite3.connect(tmp_path / ".flowkit" / FILE)) as other:
            other.execute("BEGIN EXCLUSIVE")
            code, _, said = ended(child("run", str(path), "--fresh"))
        assert (code, server.count) == (1, 4)
        assert "is locked by another process; try again when it is done" in said


# -- readers that go away ------------------------------------------------------------------------------------


def test_a_run_is_kept_although_nobody_reads_it(tmp_path):
    with CountingServer() as server:
        path = flow(project(tmp_path, server), CHAIN)
        server.go.clear()
        process = child("run", str(path), "--events", "-q")
        process.stdout.readline()
        process.stdout.close()
        server.go.set()
        assert process.stderr.read() == ""
        process.stderr.close()
        assert process.wait(20) == 141
        with closing(looked(tmp_path)) as store:
            assert [found.status for found in store.runs()] == ["succeeded"]


def test_a_run_is_kept_although_its_output_cannot_be_written(tmp_path):
    with CountingServer() as server, Path("/dev/full").open("w") as full:
        path = flow(project(tmp_path, server), CHAIN)
        process = child("run", str(path), "-q", stdout=full)
        code, _, said = ended(process)
        assert code not in (0, 70)
        assert "No space left" in said
        with closing(looked(tmp_path)) as store:
            assert [found.status for found in store.runs()] == ["succeeded"]


# -- embedded ------------------------------------------------------------------------------------------------


def test_a_run_that_fails_for_its_record_says_so_with_what_it_has(tmp_path, small_disk):
    with CountingServer(reply=lambda body: last(body)[:1] + "x" * 200_000) as server:
        path = flow(project(small_disk.parent, server), CHAIN.replace("steps.", "'x' ~ steps."))
        with pytest.raises(RunError, match="disk is full") as caught:  # and no warning says it once more
            run(path)
        error = caught.value
        assert error.kind == "store"
        assert error.run is not None
        assert error.run.status is Status.FAILED
        assert sum(len(step.attempts) for step in error.run.steps.values()) == server.count
    assert integrity(small_disk.parent) == "ok"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    with closing(sqlite3.connect(folder / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def begun(store: Store) -> RunRecord:
    record = RunRecord(Recorder(store, "1", time.time, "on"), Run("r1", "f"), Provenance("p", "x"))
    record.begin()
    return record


async def asked(record: RunRecord, said: str) -> Entry:
    return await record.open(Endpoint("m", "http://h/v1", "m"), ChatRequest("m", (Message("user", said),), step="s"), cache=None)


@pytest.mark.parametrize("end", ["cut", "failed"])
def test_an_answer_that_came_is_never_taken_back(tmp_path, end):
    """Whatever ends the run while the answer waits to be written."""

    async def main() -> None:
        entry = await asked(begun(store), "q")
        await entry.sending()
        entry.attempted(Attempt(1, "m", "ok", 0.1))
        with locked(tmp_path):
            task = asyncio.create_task(entry.answered(Completion("a", "stop")))
            await asyncio.sleep(0)
            task.cancel()
            if end == "cut":
                entry.cut(sent=False)
            else:
                entry.failed(RunError("the disk is full", kind="store"))
        await store.commit()

    with closing(opened(tmp_path)) as store:
        asyncio.run(main())
        (call,) = store.calls("r1")
        assert call.state == "answered"
        assert [found.number for found in store.answered(call.key)] == [1]


def test_it_is_noted_before_a_request_leaves_and_before_what_is_below_begins(tmp_path):
    """Durable, not on its way."""

    def states() -> list[str]:
        return [row[14] for row in tables(tmp_path / FILE)["calls"]]

    async def main() -> None:
        entry = await asked(begun(store), "q")
        await entry.sending()
        assert states() == ["open"]
        assert [row[3] for row in tables(tmp_path / FILE)["attempts"]] == ["sent"]
        entry.attempted(Attempt(1, "m", "ok", 0.1))
        await entry.answered(Completion("a", "stop"))
        assert states() == ["answered"]
        assert [row[3] for row in tables(tmp_path / FILE)["attempts"]] == ["ok"]

    with closing(opened(tmp_path)) as store:
        asyncio.run(main())


def test_after_a_write_that_failed_no_call_of_the_run_leaves(tmp_path):
    """Although the next write would succeed: the run is about to end."""

    async def main() -> None:
        record = begun(store)
        one, two = await asked(record, "one"), await asked(record, "two")
        with locked(tmp_path), pytest.raises(RunError, match="is locked by another process"):
            await one.sending()
        with pytest.raises(RunError, match="is locked by another process"):
            await two.sending()

    with closing(opened(tmp_path, busy=0.05)) as store:
        asyncio.run(main())


def test_nobody_waits_for_a_call_of_another_event_loop(tmp_path):
    """It could not be told when that ends; to ask twice is the lesser evil."""

    async def other() -> Entry:
        recorder = record.recorder
        second = RunRecord(recorder, Run("r2", "f"), Provenance("p", "x"))
        second.begin()
        return await asyncio.wait_for(asked(second, "q"), 5)

    async def main() -> None:
        first = await asked(record, "q")
        second = await asyncio.to_thread(asyncio.run, other())
        assert (first.reused, second.reused) == (None, None)
        await first.sending()
        await first.answered(Completion("a", "stop"))
        assert (await asked(record, "p")).reused is None

    with closing(opened(tmp_path)) as store:
        record = begun(store)
        asyncio.run(main())
