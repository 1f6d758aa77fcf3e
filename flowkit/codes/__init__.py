"""The one catalogue of problem codes: what each means, the smallest flow that has it, and the same made good. Knows no checker."""

from __future__ import annotations

from flowkit.codes import keys, outside, reading, references, tests, texts, types, whole
from flowkit.codes.code import FRAME, Code, Example

#: The headings of `docs/errors.md` with their codes.
SECTIONS: dict[str, tuple[Code, ...]] = {
    "The file as YAML": reading.CODES,
    "Keys and values": keys.CODES,
    "Types": types.CODES,
    "Texts and expressions": texts.CODES,
    "What they read": references.CODES,
    "Files, other flows, Python": outside.CODES,
    "The flow as a whole": whole.CODES,
    "Tests of a flow": tests.CODES,
}

#: Every code that a check can report.
CODES: dict[str, Code] = {code.code: code for codes in SECTIONS.values() for code in codes}

__all__ = ["CODES", "FRAME", "SECTIONS", "Code", "Example"]
