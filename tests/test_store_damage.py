"""What a store does with a file that is not what it wrote: nothing wrong is ever read, nothing is deleted, and it says so."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import pytest
from storing import Warned, answered, call_row, one_of_each, opened, run_row, sound

from flowkit.errors import StoreError
from flowkit.identity import restored
from flowkit.store import AttemptRow, Body, CallRow, NoteRow, RunRow, StepRow, schema
from flowkit.store.sqlite import FILE, LEASES, LOOKED_THROUGH

GOLDEN = Path(__file__).parent / "golden"
KINDS = (Body, RunRow, StepRow, CallRow, AttemptRow, NoteRow)

# -- other forms and other files -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", range(1, schema.VERSION + 1))
def test_a_store_of_each_form_that_was_released_is_read(tmp_path, form):
    shutil.copy(GOLDEN / f"record-{form}.sqlite", tmp_path / FILE)
    with closing(opened(tmp_path)) as store:
        for row in one_of_each():
            if row.TABLE != "sessions":
                assert row in store.select(type(row))
        (call,) = store.answered("golden")
        assert restored(store.body(call.reply or "") or "").text == "hi"
        store.put(run_row("r3"))
    assert sound(tmp_path)


def test_a_store_of_a_newer_flowkit_is_refused_and_left_as_it_is(tmp_path):
    opened(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("PRAGMA user_version = 7")
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(StoreError, match=rf"has form 7, and this flowkit knows forms up to {schema.VERSION}: use the newer flowkit"):
        opened(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before
    assert list((tmp_path / LEASES).iterdir()) == []


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (a)")
        connection.execute("INSERT INTO mine VALUES ('precious')")
        connection.commit()


def halfway(path: Path) -> None:
    """Ours, but its form is none."""
    opened(path.parent).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 0")


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (foreign, "no record of flowkit"),
        (halfway, "no record of flowkit"),
        (lambda path: path.write_text("notes of mine, " * 100), "file is not a database"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.with_name(f"{FILE}-wal").write_bytes(b"x" * 5000), "is gone, and only its -wal is there"),
    ],
    ids=["another database", "no form", "no database", "empty", "only the log"],
)
def test_what_is_no_record_is_moved_aside_and_never_deleted(tmp_path, write, said):
    write(tmp_path / FILE)
    before = {path.name: path.read_bytes() for path in tmp_path.glob(f"{FILE}*")}
    for number in (1, 2):
        warned = Warned()
        with closing(opened(tmp_path, warned)) as store:
            store.put(run_row())
        (text,) = warned
        assert said in text
        assert f"it was moved to {tmp_path / FILE}.damaged-{number}, and a new one was begun" in text
        assert {path.name: path.read_bytes() for path in tmp_path.glob(f"{FILE}*")}.items() >= {
            name.replace(FILE, f"{FILE}.damaged-{number}"): data for name, data in before.items()
        }.items()
        for path in tmp_path.glob(FILE):
            path.unlink()
        for name, data in before.items():
            (tmp_path / name).write_bytes(data)


def test_what_another_process_has_open_is_not_moved(tmp_path):
    with closing(opened(tmp_path)) as store:
        store.put(run_row())
        store.flush()
        with closing(sqlite3.connect(tmp_path / FILE)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        header = (tmp_path / FILE).read_bytes()
        (tmp_path / FILE).write_bytes(b"X" * 100 + header[100:])
        with pytest.raises(StoreError, match="another process has it open, so it was left where it is"):
            opened(tmp_path)
        (tmp_path / FILE).write_bytes(header)


# -- damage --------------------------------------------------------------------------------------------------


def filled(folder: Path) -> None:
    """A store of some hundred pages, part of them in the log, as a process that dies leaves it."""
    whole = folder.with_name("whole")
    with closing(opened(whole)) as store:
        for run in range(40):
            store.put(run_row(f"r{run}", source=digest_of(f"source {run}")), *one_of_each()[3:5])
            for number in range(5):
                store.put(*answered(f"r{run}", number, key(run, number), text(run, number)), AttemptRow(f"r{run}", number, 1, "ok", 1.0))
                store.put(NoteRow(f"r{run}", number, "say", None, "repair", 1.0, f"note {number} of {run}" * 20))
            if run in (10, 20, 30):
                store.flush()
            if run == 20:
                with closing(sqlite3.connect(whole / FILE)) as other:
                    other.execute("PRAGMA wal_checkpoint(FULL)")
        store.flush()
        # Not by this process: whoever closes a file lets go of the locks of its process.
        subprocess.run(["cp", "-r", whole, folder], check=True)


def digest_of(said: str) -> str:
    from flowkit.identity import digest

    return digest(said)


def key(run: int, number: int) -> str:
    return digest_of(f"key {run} {number}")


def text(run: int, number: int) -> str:
    return f'{{"text":"answer {number} of {run}","finish":"stop"}}'


def flip(data: bytearray, chance: random.Random, bits: int) -> None:
    for _ in range(bits):
        at = chance.randrange(len(data))
        data[at] ^= 1 << chance.randrange(8)


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def blank(data: bytearray, chance: random.Random) -> None:
    page = chance.randrange(len(data) // 4096) * 4096
    data[page : page + 4096] = bytes(4096)


def swap(data: bytearray, chance: random.Random) -> None:
    one, two = (chance.randrange(len(data) // 4096) * 4096 for _ in range(2))
    data[one : one + 4096], data[two : two + 4096] = data[two : two + 4096], data[one : one + 4096]


DAMAGES = {
    "one bit": lambda data, chance: flip(data, chance, 1),
    "some bits": lambda data, chance: flip(data, chance, 12),
    "header": lambda data, chance: data.__setitem__(slice(at := chance.randrange(100), at + 1), bytes([chance.randrange(256)])),
    "cut": cut,
    "blank page": blank,
    "swapped pages": swap,
    "torn": lambda data, chance: data.__setitem__(slice(at := chance.randrange(len(data)), at + 512), chance.randbytes(512)),
}


@pytest.fixture(scope="module")
def crashed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damage") / "crashed"
    filled(folder)
    whole = folder.with_name("again")
    shutil.copytree(folder, whole)
    with closing(opened(whole)) as store:
        return folder, everything(store)


def everything(store):
    return {kind: store.select(kind, tail="ORDER BY 1, 2, 3") for kind in KINDS}


@pytest.mark.parametrize("seed", [*range(60), 1100, 1211, 1492])
def test_damage_is_noticed_or_all_is_read_as_it_was(tmp_path, crashed, seed):
    """And in no case is a wrong answer used again."""
    source, before = crashed
    chance = random.Random(seed)
    folder = tmp_path / "store"
    shutil.copytree(source, folder)
    names = list(DAMAGES)
    part = FILE if seed % 3 else f"{FILE}-wal"
    data = bytearray((folder / part).read_bytes())
    DAMAGES[names[seed % len(names)]](data, chance)
    (folder / part).write_bytes(data)
    warned = Warned()
    try:
        store = opened(folder, warned)
    except StoreError as error:
        assert "record" in str(error)
        return
    noticed = bool(warned)
    try:
        for run in range(40):
            for number in range(5):
                for call in store.answered(key(run, number)):
                    found = store.body(call.reply or "")
                    assert found in (text(run, number), None)
                    noticed = noticed or found is None
        with suppress(StoreError):
            after = everything(store)
            assert all(set(after[kind]) <= set(before[kind]) for kind in KINDS)
            assert noticed or after == before
            noticed = noticed or after == before
            return
        noticed = True
    finally:
        with suppress(StoreError):
            store.close()
        assert noticed
    if any("moved" in said for said in warned):
        assert (folder / f"{FILE}.damaged-1").exists()


def test_a_log_that_is_lost_is_noticed(tmp_path, crashed):
    """History is never silently shorter."""
    shutil.copytree(crashed[0], tmp_path / "store")
    (tmp_path / "store" / f"{FILE}-wal").unlink()
    warned = Warned()
    with closing(opened(tmp_path / "store", warned)) as store:
        assert 0 < len(store.runs()) < 40
    (said,) = warned
    assert "lost what was written last" in said
    opened(tmp_path / "store").close()


def test_a_young_record_whose_log_is_lost_is_not_taken_for_a_new_one(tmp_path):
    """All of it is in the log still."""
    with closing(opened(tmp_path / "live")) as store:
        store.put(run_row())
        store.flush()
        shutil.copytree(tmp_path / "live", tmp_path / "store")
    (tmp_path / "store" / f"{FILE}-wal").unlink()
    warned = Warned()
    opened(tmp_path / "store", warned).close()
    assert len(warned) == 1


def test_a_process_that_died_with_a_whole_log_is_no_news(tmp_path, crashed):
    shutil.copytree(crashed[0], tmp_path / "store")
    with closing(opened(tmp_path / "store")) as store:
        assert everything(store) == crashed[1]


def test_an_index_that_leads_to_another_call_gives_no_answer(tmp_path):
    """A large file is not looked through whole when it is opened; its index may be wrong."""
    with closing(opened(tmp_path)) as store:
        store.put(*answered("r1", 1, "a", "of a"), *answered("r1", 2, "b", "of b"))
        store.put(*(Body(digest_of(str(n)), str(n) + "x" * 9_000) for n in range(LOOKED_THROUGH // 9_000 + 1)))
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'calls_by_key'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    data = bytearray((tmp_path / FILE).read_bytes())
    page = slice((root - 1) * size, root * size)
    assert data[page].count(b"ar1") == data[page].count(b"br1") == 1
    data[page] = data[page].replace(b"ar1", b"?r1").replace(b"br1", b"ar1")
    (tmp_path / FILE).write_bytes(data)
    assert (tmp_path / FILE).stat().st_size > LOOKED_THROUGH
    with closing(opened(tmp_path)) as store:
        assert list(store.answered("a")) == []


def test_a_row_that_was_changed_by_hand_is_refused(tmp_path):
    """By its name it is an error; a list leaves it out and counts it."""
    with closing(opened(tmp_path)) as store:
        store.put(row := run_row(), call_row(state="answered"))
        store.flush()
        with closing(sqlite3.connect(tmp_path / FILE)) as connection:
            connection.execute("UPDATE runs SET cost = '0'")
            connection.execute("UPDATE calls SET reply = 'other'")
            connection.commit()
        with pytest.raises(StoreError, match="a row of runs is no longer what was written"):
            store.run(row.id)
        assert (store.runs(), store.unreadable) == ([], 1)
        assert list(store.answered("k1")) == []


def test_a_text_that_was_changed_is_no_text(tmp_path):
    """Also when the sum over its row was made to fit."""
    from flowkit.store.writing import values_of

    with closing(opened(tmp_path)) as store:
        store.put(Body(digest_of("true"), "true"))
        store.flush()
        with closing(sqlite3.connect(tmp_path / FILE)) as connection:
            wrong = values_of(Body(digest_of("true"), "false"))
            connection.execute("UPDATE bodies SET text = ?, crc = ?", wrong[1:])
            connection.commit()
        assert store.body(digest_of("true")) is None


@pytest.mark.parametrize(
    "said",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"text":"a"}',
        '{"text":5,"finish":"stop"}',
        '{"text":"a","finish":"never heard"}',
        '{"text":"a","finish":"stop","usage":{"calls":"x"}}',
        '{"text":"a","finish":"stop","usage":{"price":1}}',
        '{"text":"a","finish":"stop","tool_calls":[["os.system"]]}',
        '{"text":"a","finish":"stop","tool_calls":[{"id":"1","name":2,"arguments":""}]}',
        '{"text":"a","finish":"stop","warnings":7}',
    ],
)
def test_what_is_no_answer_is_never_restored_as_one(said):
    with pytest.raises(ValueError):
        restored(said)
