"""Draw a sketch as one self-contained SVG, legible on light and on dark pages, with no script and no font of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from flowkit import printable
from flowkit.drawing.layout import Layout, Point, Size, arrange
from flowkit.drawing.sketch import INPUTS, OUTPUTS, Arrow, Sketch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Direction: TypeAlias = Literal["auto", "right", "down"]

#: The common monospace fonts are at most this wide, in parts of their size: what is measured by it is nowhere cut.
_EM: Final = 0.605
_FONTS: Final = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
_TITLE, _NAME, _SMALL = 15.0, 13.0, 11.0
_LINE: Final = 16.0
_PAD: Final = 12.0
_MARGIN: Final = 24.0
_STACK: Final = 5.0
_HEAD: Final = 8.0
#: A label wraps beyond so many columns, and is cut behind so many lines; the whole of it is in the tooltip.
_COLUMNS, _LINES = 38, 3
#: A picture larger than this must be scaled down on a common page.
_PAGE: Final = (1150.0, 1000.0)

_CANNOT_STAND = re.compile("[\ufffe\uffff]")

#: Per kind: line and fill on a light page, line and fill on a dark one.
_COLORS: Final = {
    "chat": ("#2563eb", "#eff6ff", "#60a5fa", "#152238"),
    "flow": ("#7c3aed", "#f5f3ff", "#a78bfa", "#201a38"),
    "call": ("#0d9488", "#f0fdfa", "#2dd4bf", "#0f2a2a"),
    "set": ("#b45309", "#fffbeb", "#fbbf24", "#2b2110"),
    "ends": ("#64748b", "#f8fafc", "#94a3b8", "#1c232d"),
}
_PAPER: Final = (("#ffffff", "#0f172a", "#52606f", "#64748b"), ("#0d1117", "#e6edf3", "#9aa7b5", "#8b98a8"))
_KINDS: Final = {"chat": "chat: asks a model", "flow": "flow: runs another flow", "call": "call: Python function", "set": "set: values"}
_STYLES: Final = {"data": "reads", "conditional": "reads, may be absent", "needs": "waits for"}
_DASHES: Final = {"data": "", "conditional": "6 4", "needs": "1.5 4"}


@dataclass(frozen=True, slots=True)
class _Label:
    """The text of a box: a name, then small lines."""

    name: str
    lines: tuple[str, ...]
    whole: str

    @property
    def size(self) -> Size:
        broadest = max([_wide(self.name, _NAME), *(_wide(line, _SMALL) for line in self.lines)])
        return max(broadest + 2 * _PAD + 4, 96.0), 2 * _PAD + _LINE * (1 + len(self.lines)) - 4


@dataclass(frozen=True, slots=True)
class _Placed:
    """A sketch with all that is inside it measured and laid out."""

    sketch: Sketch
    layout: Layout
    labels: dict[str, _Label]
    sizes: dict[str, Size]
    inside: dict[str, _Placed]
    arrows: tuple[Arrow, ...]


def svg(sketch: Sketch, *, direction: Direction = "auto") -> str:
    """Return the picture. `auto` takes the direction in which it needs less shrinking to fit on a page."""
    if direction == "auto":
        placed = max((_place(sketch.trimmed(), right=right, ends=True) for right in (True, False)), key=_fitting)
    else:
        placed = _place(sketch.trimmed(), right=direction == "right", ends=True)
    legend = _legend(sketch)
    columns = [width for width, _ in legend]
    about = printable.clip(printable.line(sketch.description.strip()), 100)
    title = printable.clip(printable.line(sketch.name), 80)
    least = max(_wide(title, _TITLE), _wide(about, _SMALL), min(sum(columns), 760.0))
    top = _MARGIN + 26 + (16 if about else 0)
    width = max(placed.layout.size[0], least) + 2 * _MARGIN
    rows = _rows(columns, width - 2 * _MARGIN)
    left = (width - placed.layout.size[0]) / 2
    below = top + placed.layout.size[1] + 30
    height = below + 20 * len(rows)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}" height="{_n(height)}" '
            f'role="img" font-family="{escape(_FONTS)}">'
        ),
        f"<title>{_text(title)}</title>",
        f"<style>{_css()}</style>",
        f'<rect class="paper" width="{_n(width)}" height="{_n(height)}" rx="8"/>',
        f'<text class="name" x="{_n(_MARGIN)}" y="{_n(_MARGIN + 8)}" font-size="{_TITLE}" font-weight="700">{_text(title)}</text>',
    ]
    if about:
        parts.append(f'<text class="small" x="{_n(_MARGIN)}" y="{_n(_MARGIN + 26)}" font-size="{_SMALL}">{_text(about)}</text>')
    parts.extend(_drawn(placed, (left, top)))
    for number, row in enumerate(rows):
        x = _MARGIN
        for entry in row:
            parts.append(f'<g transform="translate({_n(x)} {_n(below + 20 * number)})">{legend[entry][1]}</g>')
            x += columns[entry]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _fitting(placed: _Placed) -> float:
    width, height = placed.layout.size
    return min(1.0, _PAGE[0] / (width or 1.0), _PAGE[1] / (height or 1.0))


# -- measuring ---------------------------------------------------------------------------------------------


def _place(sketch: Sketch, *, right: bool, ends: bool) -> _Placed:
    """Lay out a sketch, what is inside its steps first. `ends`: with boxes for its inputs and outputs."""
    labels, sizes, inside = {}, {}, {}
    if ends and sketch.inputs:
        labels[INPUTS] = _label("inputs", sketch.inputs)
    for box in sketch.steps:
        labels[box.id] = _label(box.id, [box.about, *(f"{word} {text}".rstrip() for word, text in box.marks.items()), *box.lines])
        if box.inside is not None and box.inside.steps:
            inside[box.id] = _place(box.inside.trimmed(), right=right, ends=False)
    if ends and sketch.outputs:
        labels[OUTPUTS] = _label("outputs", sketch.outputs)
    stacked = {box.id for box in sketch.steps if "foreach" in box.marks}
    for id_, label in labels.items():
        width, height = label.size
        if id_ in inside:
            within = inside[id_].layout.size
            width, height = max(width, within[0] + 2 * _PAD), height + within[1] + _PAD - 2
        spare = _STACK if id_ in stacked else 0.0
        sizes[id_] = (width + spare, height + spare)
    arrows = tuple(arrow for arrow in sketch.arrows if arrow.source in sizes and arrow.target in sizes)
    layout = arrange(sizes, [(arrow.source, arrow.target) for arrow in arrows], right=right, last=OUTPUTS)
    return _Placed(sketch, layout, labels, sizes, inside, arrows)


def _label(name: str, lines: Sequence[str]) -> _Label:
    shown: list[str] = []
    for line in lines:
        shown.extend(_wrapped(printable.line(line)))
    return _Label(printable.clip(printable.line(name), 64), tuple(shown), "\n".join([name, *lines]))


def _wrapped(text: str) -> list[str]:
    """Break a line between words where it is too long; what does not fit into the last line is cut with an ellipsis."""
    rows: list[str] = []
    rest = text
    while printable.width(rest) > _COLUMNS and len(rows) < _LINES - 1:
        fitting = printable.clip(rest, _COLUMNS, ellipsis="")
        cut = max(fitting.rfind(" "), fitting.rfind(",") + 1, fitting.rfind("."))
        cut = cut if cut > len(fitting) // 2 else len(fitting)
        rows.append(rest[:cut].rstrip())
        rest = "  " + rest[cut:].lstrip()
    return [*rows, printable.clip(rest, _COLUMNS)]


def _wide(text: str, size: float) -> float:
    return printable.width(text) * size * _EM


# -- drawing -----------------------------------------------------------------------------------------------


def _drawn(placed: _Placed, origin: Point) -> Iterator[str]:
    """Yield arrows, then boxes with what is inside them."""
    yield f'<g transform="translate({_n(origin[0])} {_n(origin[1])})">'
    for arrow, route in zip(placed.arrows, placed.layout.routes, strict=True):
        yield _arrow(arrow, route, right=placed.layout.right)
    boxes = {box.id: box for box in placed.sketch.steps}
    for id_, (x, y) in placed.layout.boxes.items():
        box, label, (width, height) = boxes.get(id_), placed.labels[id_], placed.sizes[id_]
        kind = "ends" if box is None else box.kind
        many, maybe = box is not None and "foreach" in box.marks, box is not None and "when" in box.marks
        yield f'<g class="{kind}" transform="translate({_n(x)} {_n(y)})"><title>{_text(label.whole, lines=True)}</title>'
        yield from _frame(width, height, many=many, maybe=maybe, round_=box is None)
        middle = id_ not in placed.inside and not many
        yield from _written(label, height if middle else label.size[1])
        if id_ in placed.inside:
            within = placed.inside[id_]
            body = width - (_STACK if many else 0.0)
            yield from _drawn(within, ((body - within.layout.size[0]) / 2, label.size[1] - 2))
        yield "</g>"
    yield "</g>"


def _frame(width: float, height: float, *, many: bool, maybe: bool, round_: bool) -> Iterator[str]:
    dashes = ' stroke-dasharray="6 4"' if maybe else ""
    radius = 16 if round_ else 7
    if many:
        width, height = width - _STACK, height - _STACK
        yield f'<rect class="box" x="{_STACK}" y="{_STACK}" width="{_n(width)}" height="{_n(height)}" rx="{radius}"{dashes}/>'
    yield f'<rect class="box" width="{_n(width)}" height="{_n(height)}" rx="{radius}"{dashes}/>'
    if not round_:
        yield f'<path class="bar" d="M4.5 9V{_n(height - 9)}"/>'


def _written(label: _Label, height: float) -> Iterator[str]:
    y = (height - _LINE * len(label.lines)) / 2 + 4.5
    yield f'<text class="name" x="{_n(_PAD + 4)}" y="{_n(y)}" font-size="{_NAME}" font-weight="600">{_text(label.name)}</text>'
    for line in label.lines:
        y += _LINE
        yield f'<text class="small" x="{_n(_PAD + 4)}" y="{_n(y)}" font-size="{_SMALL}" xml:space="preserve">{_text(line)}</text>'


def _arrow(arrow: Arrow, route: Sequence[Point], *, right: bool) -> str:
    """Draw one arrow: straight through layers, curved between them, its head along the direction of all."""
    x, y = route[-1]
    line = [*route[:-1], (x - _HEAD + 1, y) if right else (x, y - _HEAD + 1)]
    path = f"M{_at(line[0])}L{_at(line[1])}"
    for start, end in zip(line[1:-1:2], line[2::2], strict=False):
        half = ((end[0] - start[0]) / 2, 0.0) if right else (0.0, (end[1] - start[1]) / 2)
        one, other = (start[0] + half[0], start[1] + half[1]), (end[0] - half[0], end[1] - half[1])
        path += f"C{_at(one)} {_at(other)} {_at(end)}"
        following = line.index(end, 2) + 1
        if following < len(line):
            path += f"L{_at(line[following])}"
    back, side = _HEAD, _HEAD / 2.2
    wings = ((x - back, y - side), (x - back, y + side)) if right else ((x - side, y - back), (x + side, y - back))
    dashes = f' stroke-dasharray="{_DASHES[arrow.style]}"' if _DASHES[arrow.style] else ""
    head = f"M{_at((x, y))}L{_at(wings[0])}L{_at(wings[1])}Z"
    return f'<g class="arrow"><path class="line" d="{path}"{dashes}/><path class="head" d="{head}"/></g>'


def _legend(sketch: Sketch) -> list[tuple[float, str]]:
    """Return what the picture uses, each entry with its width: kinds of steps, their frames, arrows."""
    boxes = list(sketch.walk())
    entries: list[tuple[str, str]] = []
    for kind, words in _KINDS.items():
        if any(box.kind == kind for box in boxes):
            sample = '<rect class="box" y="-9" width="22" height="12" rx="3"/><path class="bar" d="M3.5 -6V0"/>'
            entries.append((words, f'<g class="{kind}">{sample}</g>'))
    if any("foreach" in box.marks for box in boxes):
        sample = '<rect class="box" x="3" y="-7" width="20" height="11" rx="3"/><rect class="box" y="-10" width="20" height="11" rx="3"/>'
        entries.append(("once per item", f'<g class="ends">{sample}</g>'))
    if any("when" in box.marks for box in boxes):
        sample = '<rect class="box" y="-9" width="22" height="12" rx="3" stroke-dasharray="4 3"/>'
        entries.append(("may be skipped", f'<g class="ends">{sample}</g>'))
    for style, words in _STYLES.items():
        if any(arrow.style == style for each in (sketch, *(box.inside for box in boxes if box.inside)) for arrow in each.arrows):
            dashes = f' stroke-dasharray="{_DASHES[style]}"' if _DASHES[style] else ""
            line = f'<path class="line" d="M0 -3H18"{dashes}/><path class="head" d="M24 -3L17 -6.5V0.5Z"/>'
            entries.append((words, f'<g class="arrow">{line}</g>'))
    return [
        (30 + _wide(words, _SMALL) + 22, f'{sample}<text class="small" x="30" y="1" font-size="{_SMALL}">{_text(words)}</text>')
        for words, sample in entries
    ]


def _rows(widths: Sequence[float], room: float) -> list[list[int]]:
    rows: list[list[int]] = []
    used = 0.0
    for number, width in enumerate(widths):
        if not rows or used + width > room + 22:
            rows.append([])
            used = 0.0
        rows[-1].append(number)
        used += width
    return rows


def _css() -> str:
    """Return the colours: those of a light page, and again for readers who ask for dark."""
    rules = [".box{stroke-width:1.4}.bar{stroke-width:3;stroke-linecap:round}.line{fill:none;stroke-width:1.5}", _theme(0)]
    return "".join([*rules, "@media (prefers-color-scheme:dark){", _theme(1), "}"])


def _theme(dark: int) -> str:
    paper, ink, pale, arrow = _PAPER[dark]
    rules = [f".paper{{fill:{paper}}}.name{{fill:{ink}}}.small{{fill:{pale}}}.line{{stroke:{arrow}}}.head{{fill:{arrow}}}"]
    for kind, colors in _COLORS.items():
        line, fill = colors[2 * dark : 2 * dark + 2]
        rules.append(f".{kind}>.box{{stroke:{line};fill:{fill}}}.{kind}>.bar{{stroke:{line}}}")
    return "".join(rules)


def _text(text: str, *, lines: bool = False) -> str:
    shown = printable.block(text) if lines else printable.line(text)
    return escape(_CANNOT_STAND.sub("\ufffd", shown), quote=False)


def _at(point: Point) -> str:
    return f"{_n(point[0])} {_n(point[1])}"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
