"""Turn a forecast into text for people and data for programs. Invents no cost: what is unknown says so."""

from __future__ import annotations

from typing import Any

from flowkit import printable
from flowkit.forecast import Forecast, StepForecast
from flowkit.money import money

SCHEMA = 1


def document(forecast: Forecast) -> dict[str, Any]:
    """Return the one object of `flowkit plan --json`. Tokens and cost are of the calls that are sure; null is unknown."""
    return {
        "schema": SCHEMA,
        "flow": forecast.flow,
        "rows": forecast.rows,
        "hits": forecast.hits,
        "calls": forecast.calls,
        "open": forecast.open,
        "tokens": {"input_estimate": forecast.input_tokens, "output_at_most": forecast.output_tokens},
        "cost_at_most": None if forecast.cost is None else float(forecast.cost),
        "unpriced": forecast.unpriced,
        "failures": forecast.failures,
        "steps": {path: _step(step) for path, step in forecast.steps.items()},
    }


def _step(step: StepForecast) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "models": list(step.models),
        "hits": step.hits,
        "calls": step.calls,
        "open": step.open,
        "why": step.why,
        "tokens": {"input_estimate": step.input_tokens, "output_at_most": step.output_tokens},
        "cost_at_most": None if step.cost is None else float(step.cost),
        "usual_output_tokens": None if step.usual is None else round(step.usual, 1),
        "earlier_answers": step.earlier,
    }


def text(forecast: Forecast) -> str:
    """Return a line for each step in the order in which they could run, and what all of it comes to."""
    names = max((printable.width(step.path) for step in forecast.steps.values()), default=0)
    said = {step.path: _said(step) for step in forecast.steps.values()}
    wide = max((printable.width(one) for one in said.values()), default=0)
    lines = [f"{forecast.flow}: {printable.plural(forecast.rows, 'row')} of inputs" if forecast.rows != 1 else forecast.flow]
    for step in forecast.steps.values():
        lines.append(f"  {printable.pad(step.path, names)}  {printable.pad(said[step.path], wide)}  {_money(step)}".rstrip())
    lines += ["", *total(forecast)]
    lines += [f"would fail: {printable.line(failure)}" for failure in forecast.failures]
    return "".join(f"{line}\n" for line in lines)


def _said(step: StepForecast) -> str:
    if step.failed:
        return f"would fail: {printable.line(step.why or '')}"
    if step.kind != "chat":
        return {"set": "computed", "call": "a function", "flow": "sub-flow"}.get(step.kind, step.kind)
    parts = []
    if step.hits:
        parts.append(f"{step.hits} from the record")
    if step.calls:
        parts.append(printable.plural(step.calls, "call"))
    if step.open:
        above = "at least 1 call follows" if step.follows else "as the answers above say"
        parts.append("then as the answers say" if step.calls else above)
    return ", ".join(parts) or ("skipped" if step.skipped else "no call")


def _money(step: StepForecast) -> str:
    if not step.calls:
        return ""
    out = "no limit on the length of answers" if step.output_tokens is None else f"at most {printable.count(step.output_tokens)} back"
    if step.usual is not None and step.output_tokens is None:
        out += f" (usually {step.usual:.0f} each, of {printable.plural(step.earlier, 'answer')})"
    cost = f", at most {money(step.cost)}" if step.cost is not None else ""
    model = f"{step.models[0]}: " if step.models else ""
    return f"{model}about {printable.count(step.input_tokens)} tokens sent, {out}{cost}"


def total(forecast: Forecast) -> list[str]:
    """Return what all of it comes to, a line for calls and one for their cost."""
    rest = [path for path in forecast.open if path not in forecast.follow]
    more = f"; at least {printable.plural(len(forecast.follow), 'call')} more in {', '.join(forecast.follow)}" if forecast.follow else ""
    more += f"; more may follow in {', '.join(rest)}" if rest else ""
    lines = [f"{forecast.hits} from the record, {printable.plural(forecast.calls, 'call')} to make{more}"]
    if forecast.unpriced:
        lines.append(f"cost: unknown, there is no price for {', '.join(forecast.unpriced)}")
    elif forecast.calls and forecast.cost is None:
        lines.append("cost: no upper bound; `max_tokens` under `params` gives one")
    elif forecast.calls:
        which = "the calls known so far" if forecast.open else "these calls"
        lines.append(f"cost of {which}: at most {money(forecast.cost)}")
    elif not forecast.open:
        lines.append("cost: nothing, all of it is in the record")
    return lines
