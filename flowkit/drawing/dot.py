"""Draw a sketch in the language of Graphviz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowkit import printable
from flowkit.drawing.sketch import INPUTS, OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowkit.drawing.sketch import Arrow, Box, Sketch

_FILLS: Final = {"chat": "#dbeafe", "flow": "#ede9fe", "call": "#ccfbf1", "set": "#fef3c7"}
_LINES: Final = {"chat": "#2563eb", "flow": "#7c3aed", "call": "#0d9488", "set": "#b45309"}
_ARROWS: Final = {"data": "solid", "conditional": "dashed", "needs": "dotted"}


def dot(sketch: Sketch) -> str:
    """Return a `digraph`; a sub-flow is a cluster, and arrows end at its border."""
    sketch = sketch.trimmed()
    lines = [
        f"digraph {_quote(sketch.name)} {{",
        "  rankdir=LR; compound=true;",
        '  node [shape=box, style="rounded,filled", fontname="monospace", fontsize=11];',
        '  edge [color="#64748b"];',
    ]
    if sketch.inputs:
        lines.append(f"  {_quote(INPUTS)} [label={_label('inputs', *sketch.inputs)}, shape=oval, fillcolor={_quote('#f1f5f9')}];")
    lines.extend(_steps(sketch, "", "  "))
    if sketch.outputs:
        lines.append(f"  {_quote(OUTPUTS)} [label={_label('outputs', *sketch.outputs)}, shape=oval, fillcolor={_quote('#f1f5f9')}];")
    return "\n".join([*lines, "}"]) + "\n"


def _steps(sketch: Sketch, path: str, indent: str) -> Iterator[str]:
    for box in sketch.steps:
        label = _label(box.id, box.about, *(f"{word} {text}".rstrip() for word, text in box.marks.items()), *box.lines)
        if box.inside is not None and box.inside.steps:
            yield f"{indent}subgraph {_quote(f'cluster_{path}{box.id}')} {{"
            yield f"{indent}  label={label}; style=rounded; color={_quote(_LINES[box.kind])};"
            yield from _steps(box.inside.trimmed(), f"{path}{box.id}/", f"{indent}  ")
            yield f"{indent}}}"
        else:
            color = f"fillcolor={_quote(_FILLS[box.kind])}, color={_quote(_LINES[box.kind])}"
            yield f"{indent}{_quote(path + box.id)} [label={label}, {color}];"
    boxes = {box.id: box for box in sketch.steps}
    for arrow in sketch.arrows:
        ends = {*boxes, INPUTS, OUTPUTS} if not path else {*boxes}
        if arrow.source in ends and arrow.target in ends and _stands(sketch, arrow):
            yield f"{indent}{_arrow(arrow, boxes, path)};"


def _stands(sketch: Sketch, arrow: Arrow) -> bool:
    return (arrow.source != INPUTS or bool(sketch.inputs)) and (arrow.target != OUTPUTS or bool(sketch.outputs))


def _arrow(arrow: Arrow, boxes: dict[str, Box], path: str) -> str:
    """Graphviz draws arrows between steps only: one at a cluster goes to a step inside and is cut at the border."""
    ends, options = [], [f"style={_ARROWS[arrow.style]}"]
    for end, option in ((arrow.source, "ltail"), (arrow.target, "lhead")):
        name = end if end in {INPUTS, OUTPUTS} else path + end
        box = boxes.get(end)
        if box is not None and box.inside is not None and box.inside.steps:
            options.append(f"{option}={_quote(f'cluster_{name}')}")
        while box is not None and box.inside is not None and box.inside.steps:
            ordered = box.inside.ordered()
            box = ordered[-1] if option == "ltail" else ordered[0]
            name = f"{name}/{box.id}"
        ends.append(name)
    return f"{_quote(ends[0])} -> {_quote(ends[1])} [{', '.join(options)}]"


def _quote(text: str) -> str:
    return '"' + printable.line(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _label(*lines: str) -> str:
    return '"' + "".join(_quote(line)[1:-1] + "\\l" for line in lines) + '"'
