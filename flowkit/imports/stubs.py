"""Write Python functions that say what is missing, where something could not be converted. Knows no tool."""

from __future__ import annotations

from flowkit.imports.draft import Draft

#: The file of these functions.
FILE = "left_out.py"
_HEAD = '''\
"""What `flowkit import` could not convert: write these functions, then take the `raise` out."""

from __future__ import annotations

from typing import Any
'''


def add(draft: Draft, name: str, *, origin: str, what: str) -> str:
    """Add a function that raises, and return what `call` names."""
    held = draft.files.get(FILE, _HEAD)
    assert isinstance(held, str)
    said = f"{origin}: {what}"
    draft.files[FILE] = f"{held}\n\ndef {name}(**given: Any) -> Any:\n    raise NotImplementedError({said!r})\n"
    return f"{FILE.removesuffix('.py')}:{name}"
