"""Tell which variant of each step is chosen. Knows names, not what a variant says."""

from __future__ import annotations

from collections.abc import Mapping

from flowkit.errors import ConfigError
from flowkit.plan import Plan
from flowkit.spec import StepSpec
from flowkit.spelling import did_you_mean

#: Steps by path, `step/inner` inside sub-flows, and the variant that is chosen for each.
Choice = Mapping[str, str]


def chosen(steps: Mapping[str, StepSpec], variants: Choice) -> tuple[dict[str, StepSpec], tuple[StepSpec, ...]]:
    """Return the steps as they run, and all that they could be instead: the other variants, and the steps as written.

    Names that lead nowhere choose nothing here; see `refuse_unknown`.
    """
    run: dict[str, StepSpec] = {}
    others: list[StepSpec] = []
    for id_, step in steps.items():
        run[id_] = step.variants.get(variants[id_], step) if id_ in variants else step
        others += [other for other in (step, *step.variants.values()) if other is not run[id_]]
    return run, tuple(others)


def below(variants: Choice, head: str) -> dict[str, str]:
    """Return what is chosen inside one step: a sub-flow, or `step/tool` for a flow that is a tool."""
    return {path.removeprefix(f"{head}/"): name for path, name in variants.items() if path.startswith(f"{head}/")}


def refuse_unknown(plan: Plan, variants: Choice) -> None:
    """Refuse what chooses no variant of this plan: another prompt than the one that was meant would be paid. Raises ConfigError."""
    steps = {path: step for path, _, step in plan.walk()}
    having = [path for path, step in steps.items() if step.variants]
    wrong = []
    for path, name in variants.items():
        step = steps.get(path)
        if step is None:
            said = f"flow {plan.name!r} has no step {path!r}"
            hint = did_you_mean(path, having) or _listed("the steps with variants are", having) or "no step has variants"
        elif not step.variants:
            said = f"step {path!r} has no variants"
            hint = _listed("these have some:", having) or "no step has any"
        elif name not in step.variants:
            said = f"step {path!r} has no variant {name!r}"
            hint = did_you_mean(name, step.variants) or _listed("it has", step.variants)
        else:
            continue
        wrong.append(f"variant {path}={name}: {said}; {hint}")
    if wrong:
        raise ConfigError("\n".join(wrong))


def _listed(words: str, names: list[str] | tuple[str, ...]) -> str:
    return f"{words} {', '.join(names)}" if names else ""
