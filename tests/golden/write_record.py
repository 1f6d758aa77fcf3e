"""Write the golden store of the form of today: `python tests/golden/write_record.py`, once for each form, before it is released."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from storing import answered, one_of_each, opened, run_row  # noqa: E402 - found by the path above

from flowkit.store import schema  # noqa: E402 - the same
from flowkit.store.sqlite import FILE  # noqa: E402 - the same

target = HERE / f"record-{schema.VERSION}.sqlite"
if target.exists():
    raise SystemExit(f"{target} is there: what was released is never written anew")
with TemporaryDirectory() as folder:
    store = opened(Path(folder))
    store.put(*(row for row in one_of_each() if row.TABLE != "sessions"))
    store.put(run_row("r2", status="running"), *answered("r2", 1, "golden", '{"text":"hi","finish":"stop"}'))
    store.close()
    (Path(folder) / FILE).rename(target)
