r"""Turn the bytes of a flow file into the same file in the canonical layout. Knows YAML and the order of keys, no disk.

Lines are moved and reindented; the text of a scalar is never written anew (but for `"a\nb"`, which becomes a block). So every
text, quote and comment stays as its author wrote it, and `law` compares what both files say before anything is handed back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowkit import source
from flowkit.errors import FlowError, Problems
from flowkit.layout import law, order, reading, writing
from flowkit.layout.law import Unfaithful

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Unfaithful", "laid_out"]

_BOM = "\ufeff"


def laid_out(data: bytes, *, path: Path, shown: str) -> bytes:
    """Return the file in the canonical layout. Line ends and a mark of byte order stay as they are; mixed line ends become one kind.

    Raises:
        FlowError: the file cannot be read; with the problems that the check reports.
        Unfaithful: the result would not say the same: a bug, or YAML that nobody writes.
    """
    problems = Problems()
    before = source.parse(data, path=path, shown=shown, problems=problems)
    if problems.fatal or before.root is None:
        raise FlowError(tuple(problem for problem in problems.ordered() if problem.severity == "error"))
    text = "\n".join(before.file.lines)
    pieces = reading.read(text)
    order.arrange(pieces)
    new = writing.write(pieces)
    law.hold(before, text, new)
    decoded = data.decode("utf-8")
    windows = decoded.count("\r\n")
    if windows > decoded.count("\n") - windows:
        new = new.replace("\n", "\r\n")
    return (_BOM * decoded.startswith(_BOM) + new).encode()
