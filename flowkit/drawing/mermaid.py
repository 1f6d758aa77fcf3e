"""Draw a sketch as a mermaid flowchart, which GitHub shows in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowkit import printable
from flowkit.drawing.sketch import INPUTS, OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowkit.drawing.sketch import Box, Sketch

_SHAPES: Final = {"chat": ('("', '")'), "flow": ('[["', '"]]'), "call": ('{{"', '"}}'), "set": ('[/"', '"/]')}
_ARROWS: Final = {"data": "-->", "conditional": "-.->", "needs": "-. after .->"}
#: Fills that are legible with their own text colour on a light page and on a dark one. As names they begin with `k_`, for `call` alone
#: is a word of mermaid's.
_CLASSES: Final = {
    "chat": "fill:#dbeafe,stroke:#2563eb,color:#172554",
    "flow": "fill:#ede9fe,stroke:#7c3aed,color:#2e1065",
    "call": "fill:#ccfbf1,stroke:#0d9488,color:#042f2e",
    "set": "fill:#fef3c7,stroke:#b45309,color:#451a03",
    "ends": "fill:#f1f5f9,stroke:#64748b,color:#0f172a",
}
#: Text of a mark beyond this many columns is cut; the flow file has it in full.
_MARK_COLUMNS: Final = 48


def mermaid(sketch: Sketch) -> str:
    """Return a `flowchart`; steps stand in the author's order, so that a change of the flow is a small change of this text."""
    sketch = sketch.trimmed()
    lines = ["flowchart TD"]
    if sketch.inputs:
        lines.append(f'  inputs_(["{_label("inputs", *sketch.inputs)}"]):::k_ends')
    lines.extend(_steps(sketch, "", "  "))
    if sketch.outputs:
        lines.append(f'  outputs_(["{_label("outputs", *sketch.outputs)}"]):::k_ends')
    used = {box.kind for box in sketch.walk()} | ({"ends"} if sketch.inputs or sketch.outputs else set())
    lines.extend(f"  classDef k_{name} {style}" for name, style in _CLASSES.items() if name in used)
    return "\n".join(lines) + "\n"


def _steps(sketch: Sketch, path: str, indent: str) -> Iterator[str]:
    for box in sketch.steps:
        name, label = _name(path, box.id), _label(box.id, box.about, *_marks(box), *box.lines)
        if box.inside is not None and box.inside.steps:
            yield f'{indent}subgraph {name}["{label}"]'
            yield from _steps(box.inside.trimmed(), f"{path}{box.id}/", f"{indent}  ")
            yield f"{indent}end"
        else:
            before, after = _SHAPES[box.kind]
            yield f"{indent}{name}{before}{label}{after}:::k_{box.kind}"
    for arrow in sketch.arrows:
        if path and (arrow.source == INPUTS or arrow.target == OUTPUTS):
            continue
        if (arrow.source == INPUTS and not sketch.inputs) or (arrow.target == OUTPUTS and not sketch.outputs):
            continue
        yield f"{indent}{_name(path, arrow.source)} {_ARROWS[arrow.style]} {_name(path, arrow.target)}"


def _marks(box: Box) -> Iterator[str]:
    for word, text in box.marks.items():
        yield printable.clip(printable.line(f"{word} {text}".rstrip()), _MARK_COLUMNS)


def _name(path: str, id_: str) -> str:
    """Return a name that mermaid takes: behind `s_` no id is a word of its own (`end`), and `_S_` cannot stand in an id."""
    if id_ in {INPUTS, OUTPUTS}:
        return id_[1:] + "_"
    return "s_" + f"{path}{id_}".replace("/", "_S_")


def _label(*lines: str) -> str:
    return "<br/>".join(_escape(printable.line(line)) for line in lines)


def _escape(text: str) -> str:
    """Escape all that mermaid, its Markdown or HTML could read as more than text, by mermaid's own entities."""
    return "".join(char if char.isalnum() or char in " _.,:;/=?!'+·…←()" or char > "\x7f" else f"#{ord(char)};" for char in text)
