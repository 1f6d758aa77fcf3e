"""Pictures of flows: a tree, mermaid, dot, SVG."""

from __future__ import annotations

import itertools
import random
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.drawing.dot import dot
from flowkit.drawing.layout import Layout, Size, arrange
from flowkit.drawing.mermaid import mermaid
from flowkit.drawing.sketch import INPUTS, OUTPUTS, Arrow, Box, Sketch
from flowkit.drawing.svg import Direction, svg
from flowkit.drawing.tree import tree
from flowkit.printable import width

if TYPE_CHECKING:
    from collections.abc import Iterator

SVG = "{http://www.w3.org/2000/svg}"

TRIAGE = Sketch(
    "support-triage",
    (
        Box("extract", "chat", "fast"),
        Box("draft", "chat", "fast", {"foreach": "issue in steps.extract.output.issues"}),
        Box("escalate", "chat", "smart", {"when": "steps.extract.output.issues | selectattr('severity', 'ge', 4) | list"}),
        Box("reply", "chat", "fast"),
    ),
    (
        Arrow(INPUTS, "extract"),
        Arrow(INPUTS, "draft"),
        Arrow("extract", "draft"),
        Arrow("extract", "escalate"),
        Arrow("extract", "reply"),
        Arrow("draft", "reply"),
        Arrow("reply", OUTPUTS),
        Arrow("extract", OUTPUTS),
        Arrow("escalate", OUTPUTS, "conditional"),
    ),
    ("ticket", "tone"),
    ("reply", "issues", "escalation"),
    "Split a ticket into issues.",
)
INNER = Sketch(
    "translate",
    (Box("detect", "chat", "fast"), Box("end", "set", None, {"when": "a < b"})),
    (Arrow(INPUTS, "detect"), Arrow("detect", "end", "conditional"), Arrow("end", OUTPUTS)),
    ("text",),
    ("text",),
)
NESTED = Sketch(
    "nested",
    (
        Box("load", "call", None, {}, ("data.py:load",)),
        Box("translate", "flow", None, {"foreach": "text in steps.load.output"}, (), INNER),
        Box("audit", "chat", "smart"),
        Box("end", "call", None, {}, ("mail.py:send",)),
    ),
    (Arrow("load", "translate"), Arrow("load", "audit"), Arrow("translate", "end"), Arrow("audit", "end", "needs")),
)
HOSTILE = 'x"; ]] --> `y` %% <script>&quot; \\ # 日本 \x1b[2J \ufffe\n'


def _random(seed: int, steps: int) -> Sketch:
    pick = random.Random(seed)
    boxes, arrows = [], []
    for number in range(steps):
        marks = {"foreach": "x in inputs.rows"} if pick.random() < 0.2 else {}
        boxes.append(Box(f"step_{number}", pick.choice(["chat", "call", "set", "flow"]), None, marks, ("line",) * pick.randrange(3)))
        arrows += [Arrow(f"step_{other}", f"step_{number}") for other in range(number) if pick.random() < 2.5 / steps]
        arrows += [Arrow(INPUTS, f"step_{number}")] if pick.random() < 0.4 else []
        arrows += [Arrow(f"step_{number}", OUTPUTS)] if pick.random() < 0.3 else []
    return Sketch("random", tuple(boxes), tuple(arrows), ("rows",), ("all",))


# -- tree --------------------------------------------------------------------------------------------------


def test_tree_lists_steps_with_what_they_wait_for() -> None:
    """The tree shows the order, the kind, the model, the modifiers, and what each step reads."""
    assert tree(TRIAGE) == (
        "support-triage\n"
        "Split a ticket into issues.\n"
        "inputs: ticket, tone\n"
        "├─ extract   chat · fast\n"
        "├─ draft     chat · fast   ← extract\n"
        "│            foreach issue in steps.extract.output.issues\n"
        "├─ escalate  chat · smart  ← extract\n"
        "│            when steps.extract.output.issues | selectattr('severity', 'ge', 4) | list\n"
        "└─ reply     chat · fast   ← extract, draft\n"
        "outputs: reply, issues, escalation  ← reply, extract, escalate?\n"
    )


def test_tree_shows_sub_flows_below_their_step() -> None:
    """Steps of a sub-flow are a branch of the step that runs it."""
    assert tree(NESTED) == (
        "nested\n"
        "├─ load       call\n"
        "│             data.py:load\n"
        "├─ translate  flow          ← load\n"
        "│  │          foreach text in steps.load.output\n"
        "│  ├─ detect  chat · fast\n"
        "│  └─ end     set          ← detect?\n"
        "│             when a < b\n"
        "├─ audit      chat · smart  ← load\n"
        "└─ end        call          ← translate  after audit\n"
        "              mail.py:send\n"
    )


@pytest.mark.parametrize("columns", [20, 40])
def test_tree_fits_the_terminal(columns: int) -> None:
    """No line is longer than the terminal is wide."""
    assert max(map(width, tree(TRIAGE, columns=columns).splitlines())) <= columns


# -- mermaid and dot ---------------------------------------------------------------------------------------


def test_mermaid_of_a_sub_flow() -> None:
    """A sub-flow is a subgraph with names of its own, so that two steps of one name stay two."""
    text = mermaid(NESTED)
    assert text.startswith("flowchart TD\n")
    assert '  subgraph s_translate["translate<br/>flow<br/>foreach text in steps.load.output"]\n' in text
    assert "    s_translate_S_detect -.-> s_translate_S_end\n" in text
    assert '  s_end{{"end<br/>call<br/>mail.py:send"}}:::k_call\n' in text
    assert "  s_audit -. after .-> s_end\n" in text


def test_mermaid_text_is_only_text() -> None:
    """Nothing in a name or an expression can end a label or be read as mermaid, Markdown or HTML."""
    sketch = Sketch("x", (Box("a", "chat", HOSTILE, {"when": HOSTILE}, (HOSTILE,)),), (Arrow(INPUTS, "a"),), (HOSTILE,))
    for line in mermaid(sketch).splitlines()[1:3]:
        label = line.partition('"')[2].rpartition('"')[0]
        assert not re.search(r"[\"`<>\[\]{}|%\\\x1b]", label.replace("<br/>", ""))


def test_dot_of_a_sub_flow() -> None:
    """A sub-flow is a cluster; arrows at it end at its border."""
    text = dot(NESTED)
    assert 'subgraph "cluster_translate" {' in text
    assert '"load" -> "translate/detect" [style=solid, lhead="cluster_translate"];' in text
    assert '"translate/end" -> "end" [style=solid, ltail="cluster_translate"];' in text
    assert '"audit" -> "end" [style=dotted];' in text


def test_dot_quotes() -> None:
    """Quotes and backslashes of a text stay inside its label."""
    text = dot(Sketch('a"b\\', (Box("a", "chat", 'm"\\'),)))
    assert text.startswith('digraph "a\\"b\\\\" {')
    assert 'label="a\\lchat · m\\"\\\\\\l"' in text


# -- layout ------------------------------------------------------------------------------------------------


def _points(route: tuple[tuple[float, float], ...], *, right: bool) -> Iterator[tuple[float, float]]:
    """Yield many points of an arrow as it is drawn: curves within pairs, straight lines between them."""
    for number, ((x0, y0), (x1, y1)) in enumerate(itertools.pairwise(route)):
        for part in range(11):
            t = part / 10
            eased = 3 * t * t - 2 * t**3 if number % 2 else t  # a cubic with both controls half way
            along = 1.5 * t * (1 - t) + t**3 if number % 2 else t
            yield (x0 + (x1 - x0) * along, y0 + (y1 - y0) * eased) if right else (x0 + (x1 - x0) * eased, y0 + (y1 - y0) * along)


def _overlap(layout: Layout, sizes: dict[str, Size]) -> list[tuple[str, str]]:
    found = []
    for one, (x, y) in layout.boxes.items():
        for other, (u, v) in layout.boxes.items():
            apart = x + sizes[one][0] <= u or u + sizes[other][0] <= x or y + sizes[one][1] <= v or v + sizes[other][1] <= y
            if one < other and not apart:
                found.append((one, other))
    return found


@pytest.mark.parametrize("right", [True, False])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_arrows_never_cross_boxes(data: st.DataObject, right: bool) -> None:
    """Boxes never overlap, each arrow runs from the side of its source to the side of its target, and meets no box between."""
    number = data.draw(st.integers(1, 12))
    pick = random.Random(data.draw(st.integers(0, 10_000)))
    sizes = {f"b{n}": (pick.uniform(40, 300), pick.uniform(30, 200)) for n in range(number)}
    arrows = [(f"b{n}", f"b{m}") for m in range(number) for n in range(m) if pick.random() < 0.3]
    layout = arrange(sizes, arrows, right=right)
    assert not _overlap(layout, sizes)
    for (source, target), route in zip(arrows, layout.routes, strict=True):
        for end, id_ in ((route[0], source), (route[-1], target)):
            x, y = layout.boxes[id_]
            assert x - 0.01 <= end[0] <= x + sizes[id_][0] + 0.01
            assert y - 0.01 <= end[1] <= y + sizes[id_][1] + 0.01
        for px, py in _points(route, right=right):
            assert 0 <= px <= layout.size[0] + 0.01
            assert 0 <= py <= layout.size[1] + 0.01
            for id_, (x, y) in layout.boxes.items():
                inside = x + 0.01 < px < x + sizes[id_][0] - 0.01 and y + 0.01 < py < y + sizes[id_][1] - 0.01
                assert not inside, f"the arrow {source} -> {target} meets {id_}"


def test_parallel_boxes_are_not_tangled() -> None:
    """Two chains written crosswise are drawn side by side, without a crossing."""
    sizes = dict.fromkeys(("a", "b", "b2", "a2"), (80.0, 40.0))
    layout = arrange(sizes, [("a", "a2"), ("b", "b2")], right=True)
    assert (layout.boxes["a"][1] < layout.boxes["b"][1]) == (layout.boxes["a2"][1] < layout.boxes["b2"][1])
    assert all(route[0][1] == pytest.approx(route[-1][1], abs=0.5) for route in layout.routes)


# -- SVG ---------------------------------------------------------------------------------------------------


def _texts(element: ET.Element, x: float = 0.0, y: float = 0.0) -> Iterator[tuple[float, float, str, float]]:
    moved = re.match(r"translate\(([-\d.]+) ([-\d.]+)\)", element.get("transform", ""))
    if moved:
        x, y = x + float(moved[1]), y + float(moved[2])
    if element.tag == f"{SVG}text":
        yield x + float(element.get("x", 0)), y + float(element.get("y", 0)), element.text or "", float(element.get("font-size", 0))
    for child in element:
        yield from _texts(child, x, y)


@pytest.mark.parametrize("direction", ["auto", "right", "down"])
@pytest.mark.parametrize("sketch", [TRIAGE, NESTED, _random(1, 30), Sketch("empty", ())], ids=["triage", "nested", "thirty", "empty"])
def test_svg_is_whole(sketch: Sketch, direction: Direction) -> None:
    """The picture is well-formed, refers to nothing outside, holds every step, and no text reaches over its edge."""
    text = svg(sketch, direction=direction)
    root = ET.fromstring(text)
    assert not re.search(r"href|url\(|<script|@import", text)
    size = [float(part) for part in root.attrib["viewBox"].split()[2:]]
    found = list(_texts(root))
    for x, y, said, font in found:
        assert x >= 0
        assert x + width(said) * font * 0.605 <= size[0]
        assert font <= y <= size[1]
    said_all = {said for _, _, said, _ in found}
    assert {box.id for box in sketch.walk()} <= said_all


def test_svg_text_stays_in_its_box() -> None:
    """A box is as wide as its widest text, at the widest font that readers commonly have."""
    box = Box("a" * 40, "chat", "provider/" + "m" * 60, {"when": "steps.x.output and " * 20}, ("日本語" * 30, HOSTILE))
    root = ET.fromstring(svg(Sketch("wide", (box,))))
    group = next(each for each in root.iter(f"{SVG}g") if each.get("class") == "chat" and each.get("transform"))
    rect = group.find(f"{SVG}rect")
    assert rect is not None
    for x, y, said, font in _texts(group):
        offset = re.match(r"translate\(([-\d.]+) ([-\d.]+)\)", group.get("transform", ""))
        assert offset
        assert x - float(offset[1]) + width(said) * font * 0.605 <= float(rect.get("width", 0))
        assert y - float(offset[2]) <= float(rect.get("height", 0))


def test_svg_survives_any_text() -> None:
    """Markup, control characters and what XML cannot hold come out as visible text."""
    sketch = Sketch(HOSTILE, (Box("a", "chat", HOSTILE, {"when": HOSTILE}, (HOSTILE,)),), (), (HOSTILE,), (HOSTILE,), HOSTILE)
    root = ET.fromstring(svg(sketch))
    assert not list(root.iter(f"{SVG}script"))


def test_svg_has_colours_for_light_and_dark() -> None:
    """Every colour rule of the light page has its counterpart for readers who ask for dark."""
    style = ET.fromstring(svg(TRIAGE)).findtext(f"{SVG}style") or ""
    light, _, dark = style.partition("@media (prefers-color-scheme:dark){")
    assert set(re.findall(r"([.\w>]+)\{(?=[^}]*#)", light)) == set(re.findall(r"([.\w>]+)\{(?=[^}]*#)", dark))
    assert dark


def test_same_sketch_same_picture() -> None:
    """A picture in git changes only with its flow."""
    assert svg(_random(7, 20)) == svg(_random(7, 20))


# -- sketch ------------------------------------------------------------------------------------------------


def test_trimmed_keeps_inputs_where_they_enter() -> None:
    """Arrows from the inputs to steps below a step that reads them say nothing and go; all others stay, one a pair."""
    arrows = (Arrow(INPUTS, "a"), Arrow(INPUTS, "b"), Arrow(INPUTS, "c"), Arrow("a", "b"), Arrow("a", "b", "needs"))
    sketch = Sketch("x", (Box("a", "chat"), Box("b", "chat"), Box("c", "chat")), arrows)
    assert sketch.trimmed().arrows == (Arrow(INPUTS, "a"), Arrow(INPUTS, "c"), Arrow("a", "b"))
