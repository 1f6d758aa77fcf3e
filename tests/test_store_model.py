"""A store is a dictionary that outlives its process: whatever one does with it, in whatever order, and however it ends."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from storing import Warned, answered, call_row, opened, run_row, sound

from flowkit.identity import digest
from flowkit.store import AttemptRow, Body, CallRow, RunRow
from flowkit.store.sqlite import FILE

RUNS = st.sampled_from(["r1", "r2", "r3"])
NUMBERS = st.integers(1, 3)
KEYS = st.sampled_from(["k1", "k2"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


class StoreMachine(RuleBasedStateMachine):
    """The model: what was put, and what of it is durable. A crash may keep more than that, but only what was put, in its order."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.lives = 0
        self.folder = self.root / "0"
        self.warned = Warned()
        self.store = opened(self.folder, self.warned)
        self.second = None
        #: States after each row that was put since the last commit, the committed one first.
        self.states: list[dict[object, object]] = [{}]

    def teardown(self) -> None:
        if hasattr(self, "store"):
            for store in (self.store, self.second):
                if store is not None:
                    store.close()
            assert self.warned == []
            assert sound(self.folder)
            shutil.rmtree(self.root)

    # -- what is put -----------------------------------------------------------------------------------------

    def _put(self, *rows: object) -> None:
        self.store.put(*rows)
        for row in rows:
            now = dict(self.states[-1])
            name = (type(row), *(getattr(row, key) for key in row.KEY))
            if not (isinstance(row, Body) and name in now):
                now[name] = row
            self.states.append(now)

    @rule(run=RUNS, status=st.sampled_from(["running", "failed", "succeeded"]), message=TEXTS)
    def put_run(self, run: str, status: str, message: str) -> None:
        self._put(run_row(run, status=status, message=message, session=self.store.session))

    @rule(run=RUNS, number=NUMBERS, key=KEYS, text=TEXTS)
    def put_answer(self, run: str, number: int, key: str, text: str) -> None:
        self._put(*answered(run, number, key, text))

    @rule(run=RUNS, number=NUMBERS, key=KEYS)
    def put_question(self, run: str, number: int, key: str) -> None:
        self._put(call_row(run, number, key=key), AttemptRow(run, number, 1, "sent", 0.0))

    @rule()
    def commit(self) -> None:
        self.store.flush()
        self.states = [self.states[-1]]

    # -- what is changed -------------------------------------------------------------------------------------

    @rule(run=RUNS)
    def forget(self, run: str) -> None:
        self.commit()
        self.store.forget([run])
        kept = {name: row for name, row in self.states[-1].items() if name[0] is Body or name[1] != run}
        calls = [row for row in kept.values() if isinstance(row, CallRow)]
        needed = {call.request for call in calls} | {call.reply for call in calls}
        self.states = [{name: row for name, row in kept.items() if name[0] is not Body or name[1] in needed}]

    @precondition(lambda self: self.second is not None)
    @rule(run=RUNS)
    def claim_elsewhere(self, run: str) -> None:
        self.commit()
        before = self.states[-1].get((RunRow, run))
        row = run_row(run, status="running", session=self.second.session, message="claimed")
        mine = isinstance(before, RunRow) and before.status == "running" and before.session == self.store.session
        assert self.second.claim(row) is not mine
        if not mine:
            self.states = [{**self.states[-1], (RunRow, run): row}]

    # -- lives -----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.second is None)
    @rule()
    def open_second(self) -> None:
        self.second = opened(self.folder, self.warned)

    @precondition(lambda self: self.second is not None)
    @rule()
    def close_second(self) -> None:
        self.second.close()
        self.second = None

    @rule()
    def close(self) -> None:
        self.store.close()
        if self.second is not None:
            self.second.close()
            self.second = None
        self.store = opened(self.folder, self.warned)
        self.states = [self.states[-1]]

    @rule()
    def crash(self) -> None:
        """The process dies: what is on the disk now is all there is."""
        self.lives += 1
        copy = self.root / str(self.lives)
        dead = {self.store.session} | ({self.second.session} if self.second is not None else set())
        with closing(sqlite3.connect(self.folder / FILE, isolation_level=None)) as connection:  # nothing moves while it is copied
            connection.execute("BEGIN IMMEDIATE")
            # Not by this process: whoever closes a file lets go of the locks of its process.
            subprocess.run(["cp", "-r", self.folder, copy], check=True)
            connection.execute("ROLLBACK")
        for store in (self.store, self.second):
            if store is not None:
                store.close()
        self.second = None
        self.folder = copy
        self.store = opened(copy, self.warned)
        for state in self.states:
            for name, row in state.items():
                if isinstance(row, RunRow) and row.status == "running" and row.session in dead:
                    state[name] = replace(row, status="interrupted")
        found = self._found()
        assert found in self.states
        self.states = [found]

    # -- what is read ----------------------------------------------------------------------------------------

    def _found(self) -> dict[object, object]:
        rows = [row for kind in (Body, RunRow, CallRow, AttemptRow) for row in self.store.select(kind)]
        return {(type(row), *(getattr(row, key) for key in row.KEY)): row for row in rows}

    @invariant()
    def what_is_read_was_put(self) -> None:
        if hasattr(self, "store"):
            assert self._found() in self.states

    @rule(key=KEYS)
    def answers(self, key: str) -> None:
        self.commit()
        state = self.states[-1]
        wanted = {row for row in state.values() if isinstance(row, CallRow) and row.key == key and row.state == "answered"}
        found = self.store.answered(key)
        assert set(found) == wanted
        for call in found:
            text = self.store.body(call.reply or "")
            assert text is not None
            assert digest(text) == call.reply


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=25, stateful_step_count=25)
