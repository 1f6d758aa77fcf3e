"""Put the page together: what the run was, its picture, its times, its steps, what went in and out, and the text of its files."""

from __future__ import annotations

import json
from collections.abc import Iterator

from flowkit import printable
from flowkit.history import words
from flowkit.history.data import moment, value
from flowkit.history.tree import RunTree
from flowkit.report import steps
from flowkit.report.markup import folded, text
from flowkit.report.style import CSS
from flowkit.report.timeline import timeline

#: Nothing is loaded and nothing is run, whatever stands on the page.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_PARTS = {"graph": "Graph", "timeline": "Timeline", "steps": "Steps", "data": "Inputs and outputs", "source": "Files"}
#: Facts that stand in one line at most; of more, all lines have about as many.
_TILES = 7
_KEY = (("span", "from start to end"), ("ok", "answered"), ("fail", "failed or cut short"), ("wait", "waited"), ("reuse", "used again"))


def page(run: RunTree, picture: str | None, why: str, *, now: float) -> str:
    """Return the page of a run. `picture` is an SVG of its flow; where there is none, `why` says why. `now` is when it is written."""
    times = timeline(run)
    written = f"Written by flowkit {text(run.row.version)} on {_day(now)}."
    body = [
        *_header(run),
        "<main>",
        *_trouble(run),
        '<h2 id="graph">Graph</h2>',
        f'<div class="picture">{picture}</div>' if picture is not None else f'<p class="nothing">{text(why)}</p>',
        '<h2 id="timeline">Timeline</h2>',
        *([f'<div class="picture times">{times}</div>', _key()] if times else ['<p class="nothing">nothing began</p>']),
        '<h2 id="steps">Steps</h2>',
        *(steps.section(run.steps) or ['<p class="nothing">no step began</p>']),
        '<h2 id="data">Inputs and outputs</h2>',
        *_data(run),
        '<h2 id="source">Files</h2>',
        *_sources(run),
        "</main>",
        f"<footer>{written} It holds all that was said to models and by them: share it as you would share that.</footer>",
    ]
    title = f"{text(run.row.flow)} · run {text(run.row.id)}"
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
    )
    return head + "\n".join(body) + "\n</body>\n</html>\n"


def _header(run: RunTree) -> Iterator[str]:
    row = run.row
    simulated = '<span class="pill plain">simulated</span>' if row.simulated else ""
    state = f'<span class="pill {text(run.status)}">{words.sign(run.status)} {text(run.status)}</span>'
    yield f'<header><div class="title"><h1>{text(row.flow)}</h1>{state}{simulated}</div>'
    batch = f" · row {row.row} of batch {text(row.batch)}" if row.batch else ""
    yield f'<p class="where">run <b>{text(row.id)}</b> · {_day(row.started)} · {text(row.path)}{batch}</p>'
    yield '<nav aria-label="Parts of this page">'
    for name, title in _PARTS.items():
        yield f'<a href="#{name}">{title}</a>'
    facts = list(_facts(run))
    lines = -(-len(facts) // _TILES)
    yield f'</nav><dl class="facts of{-(-len(facts) // lines)}">'
    for name, said, *note in facts:
        beside = f'<span class="fact">{text(note[0])}</span>' if note else ""
        yield f"<div><dt>{text(name)}</dt><dd>{text(said)}{beside}</dd></div>"
    yield "</dl></header>"


def _facts(run: RunTree) -> Iterator[tuple[str, ...]]:
    """Yield what is said of the whole run: a name, a value, and perhaps what else is to be said of it."""
    row, spent = run.row, run.spent
    yield ("time", words.took(row.seconds) if row.seconds else "unknown", *(["since it went on last"] if row.resumed else []))
    yield "calls" if row.simulated else "calls paid", f"{spent.calls:,}"
    if spent.reused:
        yield "used again", f"{spent.reused:,}"
    if spent.maybe_billed:
        yield "maybe billed", f"{spent.maybe_billed:,}", "sent, and never answered"
    if spent.input_tokens is not None or spent.output_tokens is not None:
        yield "tokens in", f"{spent.input_tokens or 0:,}"
        yield "tokens out", f"{spent.output_tokens or 0:,}"
    if cost := words.cost(spent, brief=True):
        unknown = 0 if spent.cost is None or not spent.cost.known else spent.cost.unknown
        yield ("cost", cost, f"{printable.plural(unknown, 'call')} of unknown cost") if unknown else ("cost", cost)
    if row.revision:
        yield ("git revision", row.revision[: words.SHORT], *(["with changes"] if row.dirty else []))
    if row.fingerprint:
        yield "fingerprint", row.fingerprint[: words.SHORT]
    yield "flowkit", row.version
    if row.resumed:
        yield "resumed", printable.plural(row.resumed, "time")


def _trouble(run: RunTree) -> Iterator[str]:
    row = run.row
    if row.error:
        at = f" at step {text(row.failed)}" if row.failed else ""
        yield f'<p class="trouble"><b>{text(row.error)}</b>{at}: {text(row.message or "")}</p>'
    elif run.status == "interrupted":
        resume = "the same <code>flowkit batch</code>" if row.batch else f"<code>flowkit resume {text(row.id)}</code>"
        yield f'<p class="trouble odd"><b>interrupted</b>: the process ended in the middle; {resume} goes on.</p>'
    elif run.status == "running":
        yield '<p class="trouble odd"><b>running</b>: this is what was known when the page was written.</p>'


def _day(seconds: float) -> str:
    return f"{text(moment(seconds)[:19].replace('T', ' '))} UTC"


def _key() -> str:
    return f'<ul class="key">{"".join(f"<li><i class=k-{name}></i>{said}</li>" for name, said in _KEY)}</ul>'


def _data(run: RunTree) -> Iterator[str]:
    row = run.row
    yield folded("inputs", _pretty(row.inputs), kind="user")
    if row.options not in {"", "{}"}:
        yield folded("options of the command line", _pretty(row.options), kind="plain")
    if row.outputs is not None:
        yield folded("outputs", _pretty(row.outputs), kind="answer")


def _pretty(kept: str) -> str:
    found = value(kept)
    return kept if found is None else json.dumps(found, ensure_ascii=False, indent=2)


def _sources(run: RunTree) -> Iterator[str]:
    if not run.sources:
        yield '<p class="nothing">their text is not in the record</p>'
    for name, said in run.sources.items():
        yield folded(name, said, kind="plain", opened=False)
