"""Turn the matrix of a test file into columns of models and variants, or into every problem in it. Runs nothing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import TypeAlias

from flowkit.keys.tests import TABLES
from flowkit.parser.reading import Found, Reading, entries, is_mapping, own
from flowkit.parser.values import BAD, value_of
from flowkit.plan import ChatWork, Plan
from flowkit.source import Mapping as MappingNode
from flowkit.source import Node, Scalar, Sequence
from flowkit.spelling import did_you_mean
from flowkit.suites.spec import Column

_MATRIX = TABLES["matrix"]
#: Stands for a step as it is written, among its variants.
BASE = "base"
#: Whether a model of that name can be asked.
Knows: TypeAlias = Callable[[str], bool]


def columns(r: Reading, plan: Plan, knows: Knows | None, node: Node, where: str) -> tuple[Column, ...]:
    """Return every combination of models and variants; one without a name where there is none."""
    mapping = is_mapping(r, node, f"'matrix' of {where}", "write models: […] or variants: {step: […]}")
    found = entries(r, mapping, _MATRIX, f"'matrix' of {where}") if mapping else {}
    axes = [*_models(r, plan, knows, found.get("models"), where), *_variants(r, plan, found.get("variants"), where)]
    columns = []
    for chosen in product(*axes):
        models = {alias: name for kind, alias, name in chosen if kind == "model" for alias in alias.split("\n") if alias != name}
        variants = {step: name for kind, step, name in chosen if kind == "variant" and name != BASE}
        columns.append(Column(",".join(name for _, _, name in chosen), models, variants))
    return tuple(columns) or (Column(),)


def _models(r: Reading, plan: Plan, knows: Knows | None, found: Found | None, where: str) -> list[list[tuple[str, str, str]]]:
    if found is None or value_of(r, _MATRIX["models"].shape, found.value, f"'models' of {where}") is BAD:
        return []
    used = dict.fromkeys(
        name for _, _, step in plan.walk() if isinstance(step.work, ChatWork) for name in (step.work.models or ("default",))
    )
    axes: dict[str, Node] = {}
    if isinstance(found.value, MappingNode):
        for key, value in own(found.value):
            if key.text not in used:
                hint = did_you_mean(key.text, used) or f"its steps use {', '.join(used) or 'none'}"
                r.error("unknown-model", key.place(), f"no step uses the model {key.text!r}", hint)
            axes[key.text] = value
    else:
        axes["\n".join(used)] = found.value
    for node in axes.values():
        for item in node.items if isinstance(node, Sequence) else ():
            if isinstance(item, Scalar) and knows is not None and not knows(item.text):
                r.error("unknown-model", item.place(), f"there is no model {item.text!r}", "write provider/model, or an alias")
    return [_choices("model", alias, node) for alias, node in axes.items()]


def _variants(r: Reading, plan: Plan, found: Found | None, where: str) -> list[list[tuple[str, str, str]]]:
    if found is None or value_of(r, _MATRIX["variants"].shape, found.value, f"'variants' of {where}") is BAD:
        return []
    steps = {path: step for path, _, step in plan.walk()}
    having = [path for path, step in steps.items() if step.variants]
    axes = []
    for key, node in own(found.value) if isinstance(found.value, MappingNode) else ():
        if key.text not in having:
            hint = did_you_mean(key.text, having) or (f"these have some: {', '.join(having)}" if having else "no step has any")
            r.error("unknown-variant", key.place(), f"{key.text!r} is no step with variants", hint)
            continue
        known = (*steps[key.text].variants, BASE)
        for item in node.items if isinstance(node, Sequence) else ():
            if isinstance(item, Scalar) and item.text not in known:
                hint = did_you_mean(item.text, known) or f"it has {', '.join(known)}"
                r.error("unknown-variant", item.place(), f"step {key.text!r} has no variant {item.text!r}", hint)
        axes.append(_choices("variant", key.text, node))
    return axes


def _choices(kind: str, name: str, node: Node) -> list[tuple[str, str, str]]:
    return [(kind, name, item.text) for item in node.items if isinstance(item, Scalar)] if isinstance(node, Sequence) else []
