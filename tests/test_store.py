"""What a store promises, whoever runs flows: rows come back as they went in, durable, and for this user alone."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import pytest
from storing import answered, batch_row, call_row, one_of_each, opened, run_row, sound, tables

import flowkit.store
from flowkit.errors import StoreError
from flowkit.identity import digest
from flowkit.project import Project
from flowkit.store import AttemptRow, Body, NoteRow, RunRow, SessionRow, home, schema, writing
from flowkit.store.rows import ROWS
from flowkit.store.sqlite import FILE

# -- rows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", one_of_each(), ids=lambda row: type(row).__name__)
def test_a_row_comes_back_as_it_went_in(tmp_path, row):
    with closing(opened(tmp_path)) as store:
        store.put(row)
        store.flush()
        assert row in store.select(type(row))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.TABLE)
def test_a_table_has_the_fields_of_its_row_and_its_sum(tmp_path, row):
    opened(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        columns = connection.execute(f"SELECT name, type, \"notnull\", pk FROM pragma_table_info('{row.TABLE}')").fetchall()
        (strict,) = connection.execute("SELECT strict FROM pragma_table_list WHERE name = ?", (row.TABLE,)).fetchone()
    assert [name for name, *_ in columns] == [*(field.name for field in fields(row)), "crc"]
    kinds = {"str": "TEXT", "int": "INTEGER", "float": "REAL"}
    for field, (_, kind, filled, key) in zip(fields(row), columns, strict=False):
        said, _, nothing = str(field.type).partition(" | ")
        assert (kinds[said], not nothing) == (kind, bool(filled or key)), field.name
    assert tuple(name for name, *_, key in sorted(columns, key=lambda c: c[3]) if key) == row.KEY
    assert tuple(name for name, *_ in columns)[: len(row.KEY)] == row.KEY
    assert strict == 1


def test_a_row_that_is_put_again_takes_the_place_of_the_one_before(tmp_path):
    with closing(opened(tmp_path)) as store:
        store.put(run_row(status="running"), run_row(status="failed"), run_row("r2"))
        store.put(run_row(status="succeeded"))
        store.flush()
        assert [(run.id, run.status) for run in store.runs()] == [("r1", "succeeded"), ("r2", "succeeded")]


def test_a_text_is_kept_once(tmp_path):
    with closing(opened(tmp_path)) as store:
        for _ in range(3):
            store.put(Body(digest("same"), "same"))
            store.flush()
        assert store.body(digest("same")) == "same"
        assert len(store.select(Body)) == 1
        assert store.body(digest("other")) is None


@pytest.mark.parametrize(
    ("row", "column", "kept"),
    [
        (run_row(message="half \ud800 of a pair"), "message", "half \\ud800 of a pair"),
        (run_row(input_tokens=2**70), "input_tokens", 2**63 - 1),
        (run_row(seconds=3), "seconds", 3.0),
        (run_row(seconds=-0.0), "seconds", 0.0),
        (run_row(seconds=float("nan")), "seconds", 0.0),
        (run_row(seconds=float("inf")), "seconds", float("inf")),
    ],
)
def test_what_sqlite_does_not_know_is_bent_and_stops_nobody(tmp_path, row, column, kept):
    """A server may say such things; the thread that writes must outlive them."""
    with closing(opened(tmp_path)) as store:
        store.put(row)
        store.flush()
        found = store.run("r1")
        assert found is not None
        assert repr(getattr(found, column)) == repr(kept)
        store.put(run_row("r2"))
        store.flush()
        assert store.run("r2") is not None


# -- the folder ----------------------------------------------------------------------------------------------


def test_all_is_for_this_user_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        folder = tmp_path / "deep" / "er" / ".flowkit"
        with closing(opened(folder)) as store:
            store.put(run_row())
            store.flush()
            found = {path: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    finally:
        os.umask(before)
    names = {path.name for path in found}
    assert {FILE, f"{FILE}-wal", f"{FILE}-shm", ".gitignore", "sessions", f"{store.session}.lock"} == names
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in found.items()), found
    assert {stat.S_IMODE(p.stat().st_mode) for p in (folder, folder.parent, folder.parent.parent)} == {0o700}


def test_a_record_that_others_could_read_is_closed_to_them(tmp_path):
    folder = tmp_path / "f"
    opened(folder).close()
    folder.chmod(0o755)
    (folder / FILE).chmod(0o644)
    opened(folder).close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600


def test_git_sees_nothing_of_it(tmp_path):
    opened(tmp_path / ".flowkit").close()
    assert (tmp_path / ".flowkit" / ".gitignore").read_text() == "*\n"


def test_a_folder_that_holds_other_things_keeps_its_mode_and_stays_in_git(tmp_path):
    """FLOWKIT_HOME may name any folder."""
    (tmp_path / "mine.txt").touch()
    tmp_path.chmod(0o755)
    opened(tmp_path).close()
    opened(tmp_path / ".").close()
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "sessions").stat().st_mode) == 0o700


def test_a_clean_end_leaves_one_file(tmp_path):
    with closing(opened(tmp_path)) as store:
        store.put(run_row())
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [".gitignore", FILE]
    assert tables(tmp_path / FILE)["sessions"] == []


def test_the_place_is_said_by_the_environment_the_project_or_the_user(tmp_path):
    project = Project(tmp_path, tmp_path / "flowkit.toml")
    lonely = Project(tmp_path / "nowhere", None)
    assert home(project, {"FLOWKIT_HOME": str(tmp_path / "x")}) == tmp_path / "x"
    assert home(project, {"FLOWKIT_HOME": " "}) == tmp_path / ".flowkit"
    assert home(project, {"XDG_STATE_HOME": "/s"}) == tmp_path / ".flowkit"
    assert home(lonely, {"XDG_STATE_HOME": "/s"}) == Path("/s/flowkit")
    assert home(lonely, {}).name == "flowkit"
    (lonely.root / ".git").mkdir(parents=True)
    assert home(lonely, {"XDG_STATE_HOME": "/s"}) == lonely.root / ".flowkit"


# -- durability ----------------------------------------------------------------------------------------------


def test_commits_survive_the_loss_of_power(tmp_path):
    """NORMAL in WAL may roll back what was committed."""
    with closing(opened(tmp_path)) as store, store.reading() as reader:
        for connection in (reader, store._connection):
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA trusted_schema").fetchone() == (0,)
        assert reader.execute("PRAGMA query_only").fetchone() == (1,)
        assert reader.execute("PRAGMA application_id").fetchone() == (schema.APPLICATION_ID,)
        assert reader.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)


def test_what_was_committed_is_in_the_file(tmp_path):
    async def main() -> None:
        store.put(run_row())
        await store.commit()
        assert [row[0] for row in tables(tmp_path / FILE)["runs"]] == ["r1"]

    with closing(opened(tmp_path)) as store:
        asyncio.run(main())


def test_rows_that_nobody_waits_for_are_written_soon(tmp_path):
    with closing(opened(tmp_path)) as store, closing(opened(tmp_path)) as other:
        store.put(run_row())
        for _ in range(200):
            if other.run("r1") is not None:
                return
            threading.Event().wait(0.02)
    raise AssertionError("never")


def test_close_writes_what_is_left_and_ends_the_thread(tmp_path):
    store = opened(tmp_path)
    for number in range(1000):
        store.put(NoteRow("r1", number, "say", None, "repair", 0.0, "x"))
    store.close()
    store.close()
    assert len(tables(tmp_path / FILE)["notes"]) == 1000
    assert "flowkit-record" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(StoreError, match="closed"):
        store.flush()


def test_who_waits_at_the_same_time_shares_a_commit(tmp_path):
    async def main() -> None:
        async def one(number: int) -> None:
            for turn in range(4):
                store.put(NoteRow("r1", number * 10 + turn, "say", None, "repair", 0.0, "x"))
                await store.commit()

        await asyncio.gather(*(one(number) for number in range(200)))

    with closing(opened(tmp_path)) as store:
        before = store.select(SessionRow)[0].commits
        asyncio.run(main())
        assert len(store.notes("r1")) == 800
        assert store.select(SessionRow)[0].commits - before <= 80


def test_all_who_are_ready_in_one_turn_of_a_loop_share_one_commit(tmp_path):
    """The first of them does not send the thread off while the others are about to come."""

    async def main() -> None:
        await asyncio.gather(*(store.commit(NoteRow("r1", number, "say", None, "repair", 0.0, "x")) for number in range(200)))

    with closing(opened(tmp_path)) as store:
        before = store.select(SessionRow)[0].commits
        asyncio.run(main())
        assert len(store.notes("r1")) == 200
        assert store.select(SessionRow)[0].commits - before == 1


def test_who_puts_more_than_is_kept_in_one_turn_of_a_loop_waits_for_the_disk(tmp_path):
    """The thread is woken then, although nobody waits for it yet."""
    note = NoteRow("r1", 1, "say", None, "repair", 0.0, "x")

    async def main() -> None:
        await asyncio.gather(*(store.commit(replace(note, number=number), *[note] * 1000) for number in range(3 * writing.KEPT // 1000)))

    with closing(opened(tmp_path)) as store:
        asyncio.run(main())
        assert len(store.notes("r1")) == 3 * writing.KEPT // 1000


def test_rows_are_written_in_the_order_in_which_they_came(tmp_path):
    """Also over many commits: an outcome never lies below the beginning that it replaced."""
    with closing(opened(tmp_path)) as store:
        for number in range(300):
            store.put(run_row(calls=number))
            if number % 7 == 0:
                store.flush()
        store.flush()
        found = store.run("r1")
        assert found is not None
        assert found.calls == 299


def test_many_loops_and_threads_share_one_store(tmp_path):
    """A service has an event loop in more than one thread."""

    def work(thread: int) -> None:
        async def one(number: int) -> None:
            store.put(NoteRow(f"r{thread}", number, "say", None, "repair", 0.0, "x"))
            await store.commit()
            assert len(store.notes(f"r{thread}")) > 0

        async def main() -> None:
            await asyncio.gather(*(one(number) for number in range(50)))

        if thread % 2:
            asyncio.run(main())
            return
        for number in range(50):
            store.put(NoteRow(f"r{thread}", number, "say", None, "repair", 0.0, "x"))
            store.flush()

    with closing(opened(tmp_path)) as store:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [len(store.notes(f"r{number}")) for number in range(6)] == [50] * 6


def test_a_loop_that_is_gone_holds_up_nobody(tmp_path):
    """Who waited there was cancelled; the others are still told."""

    async def main() -> None:
        task = asyncio.ensure_future(store.commit())
        await asyncio.sleep(0)
        task.cancel()

    with closing(opened(tmp_path)) as store:
        for _ in range(20):
            store.put(run_row())
            asyncio.run(main())
        store.flush()


def test_whoever_is_far_ahead_of_the_disk_waits_for_it(tmp_path):
    """No row is dropped as long as the disk takes any."""
    rows = [NoteRow("r1", number, "say", None, "repair", 0.0, "x") for number in range(1000)]
    with closing(opened(tmp_path)) as store:
        for start in range(0, 3 * writing.KEPT, 1000):
            store.put(*rows[:-1], replace(rows[-1], number=start))
        store.flush()
        assert len(store.notes("r1")) == 999 + 3 * writing.KEPT // 1000 - 1


# -- several at once -----------------------------------------------------------------------------------------

WRITES = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from storing import opened
from flowkit.store import NoteRow
store = opened(Path(sys.argv[1]))
for number in range(1000):
    store.put(NoteRow(sys.argv[2], number, "say", None, "repair", 0.0, "x"))
    if number % 20 == 0:
        store.flush()
store.close()
"""


def test_four_processes_lose_no_row(tmp_path):
    here = str(Path(__file__).parent)
    processes = [subprocess.Popen([sys.executable, "-c", WRITES, str(tmp_path), f"p{number}", here]) for number in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    with closing(opened(tmp_path)) as store:
        assert [len(store.notes(f"p{number}")) for number in range(4)] == [1000] * 4
    assert sound(tmp_path)


def test_two_stores_in_one_process_see_what_the_other_committed(tmp_path):
    with closing(opened(tmp_path)) as one, closing(opened(tmp_path)) as two:
        one.put(run_row())
        one.flush()
        assert two.run("r1") == one.run("r1") == run_row()
        assert one.alive(two.session)
        assert two.alive(one.session)
    assert not two.alive(one.session)


def test_a_run_that_lives_elsewhere_cannot_be_claimed(tmp_path):
    with closing(opened(tmp_path)) as one, closing(opened(tmp_path)) as two:
        running = run_row(session=one.session, status="running")
        batch = batch_row(session=one.session)
        assert one.claim(running)
        assert one.claim_batch(batch)
        assert not two.claim(replace(running, session=two.session))
        assert not two.claim_batch(replace(batch, session=two.session))
        one.put(replace(running, status="failed"), replace(batch, status="interrupted"))
        one.flush()
        assert two.claim(replace(running, session=two.session))
        assert two.claim_batch(replace(batch, session=two.session))


def test_one_of_many_who_claim_at_once_gets_it(tmp_path):
    with closing(opened(tmp_path)) as store:
        others = [opened(tmp_path) for _ in range(4)]
        got: list[bool] = []
        threads = [
            threading.Thread(target=lambda s=other: got.append(s.claim(run_row(session=s.session, status="running")))) for other in others
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for other in others:
            other.close()
        assert sorted(got) == [False, False, False, True]
        assert store.run("r1") is not None


DIES = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from storing import opened, run_row, batch_row
store = opened(Path(sys.argv[1]))
store.put(run_row("dead", session=store.session, status="running"), batch_row("b", session=store.session))
store.flush()
os._exit(9)
"""


def test_what_a_process_that_died_left_running_is_interrupted(tmp_path):
    with closing(opened(tmp_path)) as store:
        store.put(run_row("mine", session=store.session, status="running"))
        store.flush()
        subprocess.run([sys.executable, "-c", DIES, str(tmp_path), str(Path(__file__).parent)], check=False, timeout=60)
        with closing(opened(tmp_path)) as other:
            assert {run.id: run.status for run in other.runs()} == {"mine": "running", "dead": "interrupted"}
            assert [batch.status for batch in other.batches()] == ["interrupted"]
            assert {row.id for row in other.select(SessionRow)} == {store.session, other.session}
    assert list((tmp_path / "sessions").iterdir()) == []


# -- history -------------------------------------------------------------------------------------------------


def test_runs_are_found_by_what_one_knows_of_them(tmp_path):
    with closing(opened(tmp_path)) as store:
        store.put(run_row("aa", started=1.0), run_row("ab", started=3.0, flow="other", path="/o", status="failed", fingerprint="f1"))
        store.put(*(run_row(f"b.{row}", started=2.0, batch="b", row=row) for row in (2, 10, 1)))
        store.flush()

        def ids(**asked: object) -> list[str]:
            return [run.id for run in store.runs(**asked)]

        assert ids() == ["ab", "aa"]
        assert ids(rows=True) == ["ab", "b.1", "b.10", "b.2", "aa"]
        assert ids(batch="b") == ["b.1", "b.2", "b.10"]
        assert ids(prefix="a") == ["ab", "aa"]
        assert ids(prefix="b.1", status="succeeded") == ["b.1", "b.10"]
        assert ids(prefix="%") == ids(prefix="' OR 1 --") == []
        assert ids(path="/o") == ids(flow="other") == ids(status="failed") == ids(fingerprint="f1") == ids(since=2.5) == ["ab"]
        assert ids(limit=1) == ["ab"]


def test_a_call_that_was_rejected_is_not_among_the_answered(tmp_path):
    with closing(opened(tmp_path)) as store:
        store.put(*answered("r1", 1, "k", "old", started=1.0), *answered("r2", 1, "k", "new", started=2.0), call_row("r3", key="k"))
        store.flush()
        assert [call.run for call in store.answered("k")] == ["r2", "r1"]
        store.put(replace(answered("r2", 1, "k", "new", started=2.0)[1], state="rejected"))
        store.flush()
        assert [call.run for call in store.answered("k")] == ["r1"]
        assert {call.run: call.state for r in ("r1", "r2", "r3") for call in store.calls(r)} == {
            "r1": "answered",
            "r2": "rejected",
            "r3": "open",
        }


def test_what_is_forgotten_takes_along_what_nobody_else_needs(tmp_path):
    big = "x" * 400_000
    with closing(opened(tmp_path)) as store:
        for run in ("r1", "r2"):
            store.put(run_row(run, source=digest("shared")), *answered(run, 1, f"k-{run}", "shared"), AttemptRow(run, 1, 1, "ok", 0.0))
        store.put(Body(digest("shared"), "shared"), *answered("r1", 2, "k", big), NoteRow("r1", 1, "s", None, "repair", 0.0, "x"))
        store.put(batch_row())
        store.flush()
        freed = store.forget(["r1"], ["b1"])
        assert freed > 300_000
        assert store.run("r1") is None
        assert (store.calls("r1"), store.attempts("r1"), store.notes("r1"), store.batches()) == ([], [], [], [])
        assert store.body(digest(big)) is None
        assert store.body(digest("shared")) == "shared"
        assert len(store.calls("r2")) == len(store.attempts("r2")) == 1
    assert sound(tmp_path)


def test_what_a_process_writes_while_another_forgets_is_kept(tmp_path):
    with closing(opened(tmp_path)) as one, closing(opened(tmp_path)) as two:
        for number in range(20):
            one.put(*answered("r1", number, f"k{number}", f"text {number}"))
            two.put(run_row("gone"))
            two.forget(["gone"])
        one.flush()
        assert [one.body(call.reply or "") for call in one.calls("r1")] == [f"text {number}" for number in range(20)]


# -- what it is made of --------------------------------------------------------------------------------------


def test_nothing_in_the_room_revives_types_and_values_are_always_bound():
    """A record that somebody tampered with runs no code, and no text becomes SQL."""
    for path in Path(flowkit.store.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"pickle|marshal|shelve|\beval\(|\bexec\(|load_extension|\.format\(|detect_types|% \(", text), path
        for found in re.finditer(r"execute\(\s*f\"([^\"]*)\"", text):
            for name in re.findall(r"{([^}]*)}", found.group(1)):
                assert name in {"table", "row.TABLE", "names"} or name.endswith(":d"), f"{path}: {found.group(0)}"


def test_values_that_look_like_sql_are_values(tmp_path):
    nasty = "'); DROP TABLE runs; --"
    with closing(opened(tmp_path)) as store:
        store.put(run_row(nasty, flow=nasty, message=nasty))
        store.flush()
        assert [run.id for run in store.runs(flow=nasty)] == [nasty]
        store.forget([nasty])
        assert store.select(RunRow) == []


def test_many_may_begin_a_record_at_once(tmp_path):
    """Each sees no tables, or all of them."""

    def work() -> None:
        with closing(opened(folder)) as store:
            store.put(run_row(store.session))

    for number in range(8):
        folder = tmp_path / str(number)
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with closing(opened(folder)) as store:
            assert len(store.runs()) == 6
