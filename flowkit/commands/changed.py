"""Say what changed about a flow since one of its runs: what it means, else which texts; and which models lead elsewhere."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

from flowkit import compiler, printable, project
from flowkit.commands.opening import Opening, pairs
from flowkit.difference import Change, difference
from flowkit.errors import ConfigError
from flowkit.flow import Flow
from flowkit.identity import SIMULATED
from flowkit.meaning import Meaning, Resolve, fingerprint, meaning, reader
from flowkit.plan import ChatWork
from flowkit.store import CallRow, RunRow
from flowkit.templates import ReadRefused
from flowkit.textdiff import changed, lines

#: Columns of a value that stands in one line.
_COLUMNS = 100


def since(row: RunRow, source: str | None, calls: Sequence[CallRow], then: Opening, opening: Opening, flow: Flow) -> list[str]:
    """Return what is no longer as it was in a run, as lines for people; none where all is.

    `source` is what the record holds of the files, `then` are the options of that run, `opening` those with which the flow was opened.
    """
    provenance = flow.provenance
    if row.fingerprint == provenance.fingerprint:
        return []
    before: dict[str, str] = json.loads(source) if source is not None else {}
    resolve = opening.runtime(None).resolve
    old = _meaning_of(before, row, then, flow.plan.path)
    if old is None:
        said = [*_models(calls, flow, resolve, frozenset()), *_texts(before, json.loads(provenance.source or "{}"))]
    else:
        new = meaning(flow.plan, resolve, reader(project.find(flow.plan.path).root))
        told = [change for change in difference(old, new) if change.counts]
        known = frozenset(step for change in told if change.path.endswith(".model") for step in change.steps)
        models = list(_models(calls, flow, resolve, known))
        said = [*models, *(line for change in told for line in _told(change))]
        if not models and fingerprint(old) != row.fingerprint:
            said.append(f"{_config(flow)}, the code of a Python function, or flowkit itself (then {row.version}) is not what it was")
    return said or ["the flow is not what it was, and the record does not say what it was"]


def _config(flow: Flow) -> str:
    found = project.find(flow.plan.path).config
    return "the configuration of models" if found is None else f"what {found.name} says of models"


# -- models ------------------------------------------------------------------------------------------------


def _models(calls: Sequence[CallRow], flow: Flow, resolve: Resolve, known: frozenset[str]) -> Iterator[str]:
    """Yield which models were asked in the run and are no longer those of their steps, but for steps of which it is known."""
    asked = {call.step: (call.model, call.url) for call in calls if not call.url.startswith(SIMULATED)}
    told: dict[tuple[str, str], list[str]] = {}
    for path, owner, step in flow.plan.walk():
        if path not in asked or path in known or not isinstance(step.work, ChatWork):
            continue
        with suppress(ConfigError):  # said when the run begins
            found = [resolve(name, owner).endpoint for name in step.work.models or ("",)]
            if asked[path] not in [(each.model, each.url) for each in found]:
                now = " or ".join(f"{each.model} at {each.url}" for each in found)
                told.setdefault((" at ".join(asked[path]), now), []).append(path)
    for (was, now), steps in told.items():
        yield f"the model of {', '.join(steps)}: it was {was}, and is {now}"


# -- files -------------------------------------------------------------------------------------------------


def _texts(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """Yield the difference of files whose meaning cannot be compared."""
    for name in sorted({*before, *after}):
        if name not in before or name not in after:
            yield f"{name} was {'added' if name in after else 'removed'}"
        elif before[name] != after[name]:
            yield from lines(before[name], after[name], (f"{name} (then)", f"{name} (now)"))


def _meaning_of(source: Mapping[str, str], row: RunRow, then: Opening, path: Path) -> Meaning | None:
    """Return what the flow meant, with the configuration and functions of now; None when it cannot be known."""
    root = project.find(path).root
    shown = max((name for name in source if Path(row.path).as_posix().endswith(f"/{name}")), key=len, default=None)
    if shown is None or not all(_inside(name) for name in source):
        return None
    with tempfile.TemporaryDirectory(prefix="flowkit-", ignore_cleanup_errors=True) as folder:
        top = Path(folder).resolve()
        for name, text in source.items():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text(text, encoding="utf-8", newline="")
        _link_functions(root, top, source)
        try:
            runtime = then.runtime(None)
            checked = compiler.check(
                top / shown,
                cwd=top,
                models=runtime.config(path),
                found=project.Project(top),
                overrides=then.settings,
                variants=pairs(then.variant),
            )
            if checked.plan is None or checked.errors:
                return None
            # By the configuration of the project of the flow, wherever its old text was laid out.
            return meaning(checked.plan, lambda name, plan: runtime.resolve(name, replace(plan, path=path)), reader(top))
        except (ConfigError, ReadRefused):
            return None


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _link_functions(root: Path, top: Path, source: Mapping[str, str]) -> None:
    """Let the old text find the Python modules that stand beside it: their code is not kept."""
    for folder in {PurePosixPath(), *(PurePosixPath(name).parent for name in source)}:
        for module in [*(root / folder).glob("*.py"), *(init.parent for init in (root / folder).glob("*/__init__.py"))]:
            with suppress(OSError):  # what stands there is one of the recorded files
                (top / folder / module.name).symlink_to(module)


# -- words -------------------------------------------------------------------------------------------------


def _told(change: Change) -> list[str]:
    before, after = change.before, change.after
    if change.kind in ("renamed", "moved"):
        return [f"{change.path}: {change.kind} from {_value(before)} to {_value(after)}"]
    if before is None or after is None:
        return [f"{change.path}: {change.kind}: {_value(after if before is None else before)}"]
    if isinstance(before, str) and isinstance(after, str):
        found = changed(before, after)
        return [f"{change.path}: {found[0]}"] if len(found) == 1 else [f"{change.path}:", *(f"   {line}" for line in found)]
    return [f"{change.path}: {_value(before)} → {_value(after)}"]


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return printable.clip(printable.line(text), _COLUMNS)
