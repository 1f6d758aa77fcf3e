"""The one catalogue of problem codes: what each means, the smallest flow that has it, and the same made good. Knows no checker."""

from __future__ import annotations

from flowkit.codes import format_, reading, references, whole
from flowkit.codes.code import FRAME, Code, Example

#: Every code that a check can report, in the order of `docs/errors.md`.
CODES: dict[str, Code] = {
    code.code: code
    for codes in (reading.CODES, format_.KEYS, format_.TEXTS, references.CODES, whole.CODES)
    for code in sorted(codes, key=lambda each: each.code)
}

#: The headings of `docs/errors.md` with their codes.
SECTIONS: dict[str, tuple[str, ...]] = {
    "The file as YAML": tuple(sorted(c.code for c in reading.CODES)),
    "Keys, values and types": tuple(sorted(c.code for c in format_.KEYS)),
    "Texts and names": tuple(sorted(c.code for c in format_.TEXTS)),
    "What templates and expressions read": tuple(sorted(c.code for c in references.CODES)),
    "The flow as a whole": tuple(sorted(c.code for c in whole.CODES)),
}

__all__ = ["CODES", "FRAME", "SECTIONS", "Code", "Example"]
