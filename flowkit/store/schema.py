"""The tables, and the steps from each older form of them to this one. Pure text.

Each row carries `crc`, the sum over its other columns: a bit that flips on the disk is noticed when the row is read.
"""

from __future__ import annotations

#: Says that a database is ours: "flow" in ASCII.
APPLICATION_ID = 0x666C6F77
#: The form of the tables, kept as `user_version`. A larger one is refused, a smaller one is brought up to date.
VERSION = 1

_FIRST = """
CREATE TABLE bodies (hash TEXT PRIMARY KEY, text TEXT NOT NULL, crc INTEGER NOT NULL) STRICT;
CREATE TABLE sessions (
  id TEXT PRIMARY KEY, pid INTEGER NOT NULL, version TEXT NOT NULL, started REAL NOT NULL, commits INTEGER NOT NULL,
  crc INTEGER NOT NULL
) STRICT;
CREATE TABLE runs (
  id TEXT PRIMARY KEY, session TEXT NOT NULL, flow TEXT NOT NULL, path TEXT NOT NULL, fingerprint TEXT NOT NULL, source TEXT,
  status TEXT NOT NULL, simulated INTEGER NOT NULL, inputs TEXT NOT NULL, options TEXT NOT NULL, outputs TEXT,
  error TEXT, message TEXT, failed TEXT, started REAL NOT NULL, seconds REAL NOT NULL, calls INTEGER NOT NULL, reused INTEGER NOT NULL,
  input_tokens INTEGER, output_tokens INTEGER, cost TEXT, unpriced INTEGER NOT NULL, revision TEXT, dirty INTEGER,
  version TEXT NOT NULL, batch TEXT, row INTEGER, resumed INTEGER NOT NULL, crc INTEGER NOT NULL
) STRICT;
CREATE INDEX runs_by_start ON runs (batch, started);
CREATE INDEX runs_by_path ON runs (path, started);
CREATE TABLE steps (
  run TEXT NOT NULL, step TEXT NOT NULL, item INTEGER NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL, output TEXT, model TEXT,
  error TEXT, message TEXT, at REAL NOT NULL, seconds REAL NOT NULL, attempts INTEGER NOT NULL, reused INTEGER NOT NULL,
  input_tokens INTEGER, output_tokens INTEGER, cost TEXT, items INTEGER, crc INTEGER NOT NULL,
  PRIMARY KEY (run, step, item)
) STRICT, WITHOUT ROWID;
CREATE TABLE items (
  run TEXT NOT NULL, step TEXT NOT NULL, item INTEGER NOT NULL, status TEXT NOT NULL, error TEXT, message TEXT,
  at REAL NOT NULL, seconds REAL NOT NULL, reused INTEGER NOT NULL, crc INTEGER NOT NULL,
  PRIMARY KEY (run, step, item)
) STRICT, WITHOUT ROWID;
CREATE TABLE calls (
  run TEXT NOT NULL, number INTEGER NOT NULL, step TEXT NOT NULL, item INTEGER, sample INTEGER, key TEXT NOT NULL, again INTEGER NOT NULL,
  url TEXT NOT NULL, name TEXT NOT NULL, model TEXT NOT NULL, returned TEXT, cache TEXT NOT NULL, request TEXT NOT NULL, reply TEXT,
  state TEXT NOT NULL, source TEXT, finish TEXT, error TEXT, message TEXT, started REAL NOT NULL, seconds REAL,
  input_tokens INTEGER, output_tokens INTEGER, cached_tokens INTEGER, reasoning_tokens INTEGER, cost TEXT, crc INTEGER NOT NULL,
  PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX calls_by_key ON calls (key);
CREATE TABLE attempts (
  run TEXT NOT NULL, call INTEGER NOT NULL, number INTEGER NOT NULL, outcome TEXT NOT NULL, started REAL NOT NULL, status INTEGER,
  seconds REAL, waited REAL NOT NULL, first_token REAL, structured TEXT, message TEXT NOT NULL, input_tokens INTEGER,
  output_tokens INTEGER, cost TEXT, crc INTEGER NOT NULL,
  PRIMARY KEY (run, call, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE notes (
  run TEXT NOT NULL, number INTEGER NOT NULL, step TEXT NOT NULL, item INTEGER, kind TEXT NOT NULL, at REAL NOT NULL, text TEXT NOT NULL,
  crc INTEGER NOT NULL,
  PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE batches (
  id TEXT PRIMARY KEY, session TEXT NOT NULL, flow TEXT NOT NULL, path TEXT NOT NULL, fingerprint TEXT NOT NULL, data TEXT NOT NULL,
  out TEXT NOT NULL, options TEXT NOT NULL, status TEXT NOT NULL, simulated INTEGER NOT NULL, started REAL NOT NULL, seconds REAL NOT NULL,
  rows INTEGER NOT NULL, bytes INTEGER NOT NULL, digest TEXT NOT NULL, tallies TEXT NOT NULL, version TEXT NOT NULL, crc INTEGER NOT NULL
) STRICT;
CREATE INDEX batches_by_out ON batches (out, started);
"""

#: What brings a database from the form at its position to the next; a golden store of each form lies among the tests.
MIGRATIONS: tuple[str, ...] = (_FIRST,)
