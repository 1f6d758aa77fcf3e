"""Cut a plan down to what one step needs, with values in the place of steps that shall not run. Knows no command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flowkit.plan import CallWork, ChatWork, Fixed, FlowWork, Plan, PlannedStep, SetWork
from flowkit.types.samples import sample


class Narrowing:
    """Plans up to one step. `outputs` stand for steps by path; a function is a sample value unless `run_functions`."""

    def __init__(self, outputs: Mapping[str, Any], *, run_functions: bool, seed: str) -> None:
        self._outputs = outputs
        self._run_functions = run_functions
        self._seed = seed
        #: What stands for an answer, by path of the step: simulated answers, and functions that do not run.
        self.simulated: list[str] = []
        self.sampled: list[str] = []

    def without_functions(self, plan: Plan) -> Plan:
        """Return a plan of which no function runs, unless all may."""
        return replace(plan, steps={id_: self._before(step, id_) for id_, step in plan.steps.items()})

    def upto(self, plan: Plan, names: Sequence[str], prefix: str = "") -> Plan:
        """Return a plan that runs nothing but a step (`names` leads to it, through sub-flows) and what it waits for."""
        target = plan.steps[names[0]]
        needed = {target.id}
        for id_ in reversed(list(plan.steps)):  # they stand in an order in which they could run
            if id_ in needed:
                needed.update(plan.steps[id_].waits)
        # The step is shown whether or not it would be skipped.
        wanted = replace(target, when=None, skips_with=())
        if len(names) > 1 and isinstance(target.work, FlowWork):
            inner = self.upto(target.work.plan, names[1:], f"{prefix}{target.id}/")
            wanted = replace(wanted, work=replace(target.work, plan=inner), validator=None, checks=())
        steps = {
            id_: wanted if id_ == target.id else self._before(step, f"{prefix}{id_}") for id_, step in plan.steps.items() if id_ in needed
        }
        return replace(plan, steps=steps, outputs=None, leaves=())

    def _before(self, step: PlannedStep, path: str) -> PlannedStep:
        if path in self._outputs:
            return replace(_plain(step), work=SetWork(Fixed(self._outputs[path])), foreach=None, when=None, skips_with=())
        work = step.work
        match work:
            case ChatWork():
                self.simulated.append(path)
            case FlowWork():
                inner = {id_: self._before(each, f"{path}/{id_}") for id_, each in work.plan.steps.items()}
                return replace(step, work=replace(work, plan=replace(work.plan, steps=inner)))
            case CallWork() if not self._run_functions:
                self.sampled.append(path)
                return replace(_plain(step), work=SetWork(Fixed(sample(step.type, seed=f"{self._seed}:{path}"))))
        return step


def _plain(step: PlannedStep) -> PlannedStep:
    """Return a step that is sure to take a value as it is."""
    return replace(step, kind="set", validator=None, checks=(), repeat=None)
