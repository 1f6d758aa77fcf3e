"""What an importer found: a flow as plain data, files that go beside it, and a report of what became of each part. Knows no format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from flowkit.errors import FlowkitError

#: `left`: not converted. `typed`: glue that a typed output does. `changed`: converted, but people should know something of it.
Kind = Literal["left", "typed", "changed"]


class Unreadable(FlowkitError):
    """There is nothing here that could be converted."""

    exit_code = 2


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that people have to know of: where it stood, what it is, and the way out."""

    file: str
    line: int
    what: str
    way: str = ""
    kind: Kind = "left"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}" + (f" → {self.way}" if self.way else "")


@dataclass(slots=True)
class Report:
    """What became of each part."""

    findings: list[Finding] = field(default_factory=list)
    #: Ids of steps, and what they were made of.
    converted: dict[str, str] = field(default_factory=dict)
    #: Old names and the ones that a flow can have.
    renamed: dict[str, str] = field(default_factory=dict)

    def left(self, file: str, line: int, what: str, way: str = "") -> None:
        """Note something that was not converted."""
        self.findings.append(Finding(file, line, what, way, "left"))

    def changed(self, file: str, line: int, what: str, way: str = "") -> None:
        """Note something that works in another way now."""
        self.findings.append(Finding(file, line, what, way, "changed"))

    def typed(self, file: str, line: int, what: str, way: str = "") -> None:
        """Note glue that a typed output makes needless."""
        self.findings.append(Finding(file, line, what, way, "typed"))

    def of(self, kind: Kind) -> list[Finding]:
        """Return the findings of a kind, each once, in the order of the files."""
        return sorted({found for found in self.findings if found.kind == kind})


@dataclass(slots=True)
class Draft:
    """A flow that is not yet written. `steps` and the others hold what stands under these keys of a flow file."""

    name: str
    #: What it was made of, for the first line of the file.
    origin: str
    description: str = ""
    types: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    models: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: One expression where the whole record of it are the outputs; None where the flow's own rule is right: what no step reads.
    outputs: dict[str, str] | str | None = None
    tests: list[dict[str, Any]] = field(default_factory=list)
    #: Comments above steps.
    remarks: dict[str, str] = field(default_factory=dict)
    #: Files beside the flow, by their path relative to it.
    files: dict[str, str | bytes] = field(default_factory=dict)
    report: Report = field(default_factory=Report)

    def whole(self) -> dict[str, Any]:
        """Return the flow as data, in the order in which people read it; what is empty is left out."""
        held: dict[str, Any] = {"flowkit": 1, "name": self.name}
        for key in ("description", "types", "values", "inputs", "models", "steps", "outputs", "tests"):
            if value := getattr(self, key):
                held[key] = value
        return held
