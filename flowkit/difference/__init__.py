"""Turn two meanings of a flow into the list of what changed between them. Knows no file and no git."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any
from urllib.parse import urlsplit

from flowkit.difference.change import Change, Json, Kind, Sides
from flowkit.difference.types import Types
from flowkit.meaning import Meaning
from flowkit.plan import Plan

__all__ = ["ALIKE", "Change", "Kind", "affected", "difference", "likeness", "model_in_words"]

#: Keys of a step under which texts stand, and those under which no expression does.
_TEXTS = frozenset("text included user assistant message url detail data format file_id filename file_data".split())
_DATA = frozenset("flow function parameters output params models kind role name description on_error".split())
_BRACES = re.compile(r"\{[{%] (.*?) [%}]\}", re.DOTALL)
#: Settings that follow from others: told only where nothing else of the step is.
_FOLLOWS = ("waits", "models")
#: How much of a text is the same where it was renamed and edited, and not replaced.
ALIKE = 0.6
_WORD = re.compile(r"\w+")
#: Below these keys names are the author's; those keys say nothing of one step in particular.
_NAMED = frozenset({"properties", "with", "set"})
_EVERYWHERE = frozenset({"kind", "role", "type", "models", "params", "additionalProperties", "required"})


def difference(before: Meaning, after: Meaning) -> tuple[Change, ...]:
    """Return what changed, steps by their names: what counts first, then what changes time, cost or labels only.

    Layout is no change. A step with another name and the same content was renamed, and what reads it is not changed by that.
    """
    found = _Difference(before, after)
    found.flows("", before["flow"], after["flow"])
    found.files()
    return (*found.sides.found, *found.settings())


def affected(plan: Plan, steps: Iterable[str]) -> tuple[str, ...]:
    """Return the steps of a flow that wait for one of these, however far below, in an order in which they could run.

    A path such as `child/ask` stands for the step of the flow itself that it lies in. The given steps are not among the answer.
    """
    start = {step.partition("/")[0] for step in steps}
    reached = set(start)
    for step in plan.steps.values():  # each stands below all that it waits for
        if reached.intersection(step.waits):
            reached.add(step.id)
    return tuple(id_ for id_ in plan.steps if id_ in reached and id_ not in start)


class _Difference:
    def __init__(self, before: Meaning, after: Meaning) -> None:
        self._before = before
        self._after = after
        self.sides = Sides(before["written"], after["written"])
        #: New path of a step → old one, where there was one.
        self._pairs: dict[str, str] = {"": ""}
        #: Included texts that changed → the steps that include them.
        self._included: dict[tuple[str | None, str | None], list[str]] = {}

    # -- flows ---------------------------------------------------------------------------------------------

    def flows(self, path: str, before: Mapping[str, Json], after: Mapping[str, Json]) -> None:
        """Compare two flows; `path` is of the step that uses them, with a slash, or empty."""
        known = len(self.sides.found)
        old, new = before.get("steps", {}), after.get("steps", {})
        renames = _renames(old, new)
        for was, now in renames.items():
            self.sides.add(f"steps.{path}{now}", "renamed", was, now, steps=(path + now,))
        old = {renames.get(id_, id_): _rewritten(step, renames, self.sides) for id_, step in old.items()}
        back = {now: was for was, now in renames.items()}
        at = path.rstrip("/")
        prefix = f"steps.{at}." if at else ""
        self._inputs(f"{prefix}inputs", before.get("inputs", {}), after.get("inputs", {}), new, path)
        for name in dict.fromkeys([*before.get("values", {}), *after.get("values", {})]):
            values = [side.get("values", {}).get(name) for side in (before, after)]
            self.sides.plain(f"{prefix}values.{name}", *values, steps=_readers(new, "values", name, path))
        for id_ in dict.fromkeys([*new, *old]):
            where = path + id_
            if id_ not in old:
                self.sides.add(f"steps.{where}", "added", None, new[id_], steps=(where,))
            elif id_ not in new:
                self.sides.add(f"steps.{where}", "removed", old[id_], None, steps=(where,))
            else:
                self._pairs[where] = self._pairs[at] + ("/" if at else "") + back.get(id_, id_)
                self._steps(where, old[id_], new[id_])
        outputs = _rewritten(before.get("outputs"), renames, self.sides)
        self.sides.plain(f"{prefix}outputs", outputs, after.get("outputs"), steps=(at,) if at else ())
        if len(self.sides.found) == known:  # which steps are outputs follows from the steps, but for `needs`
            leaves = [renames.get(id_, id_) for id_ in before.get("leaves", ())]
            self.sides.plain(f"{prefix}outputs", leaves, after.get("leaves", []), steps=(at,) if at else ())

    def _inputs(self, where: str, before: Mapping[str, Json], after: Mapping[str, Json], steps: Mapping[str, Json], path: str) -> None:
        fields = [side.get("fields", {}) for side in (before, after)]
        for name in dict.fromkeys([*fields[0], *fields[1]]):
            one = [_record(side, [name]) for side in (before, after)]
            found = Types(self.sides, *one, steps=_readers(steps, "inputs", name, path))
            found.compare(where)
        self.sides.plain(f"{where} (order)", before.get("order"), after.get("order"), steps=tuple(path + id_ for id_ in steps))

    # -- steps ---------------------------------------------------------------------------------------------

    def _steps(self, step: str, before: Mapping[str, Json], after: Mapping[str, Json]) -> None:
        """Compare two steps of one name."""
        path, me = f"steps.{step}", (step,)
        for key in dict.fromkeys([*after, *before]):
            old, new = before.get(key), after.get(key)
            match key:
                case "models":
                    self._models(step, old or [], new or [])
                case "output" if old is not None and new is not None:
                    Types(self.sides, old, new, steps=me).compare(f"{path}.output")
                case "messages":
                    self.sides.lists(f"{path}.messages", old or [], new or [], me, lambda where, a, b: self._parts(where, a, b, step))
                case "examples" | "checks":
                    self.sides.lists(f"{path}.{key}", old or [], new or [], me, lambda where, a, b: self._parts(where, a, b, step))
                case "tools":
                    self._tools(step, old or [], new or [])
                case "flow" if old is not None and new is not None:
                    self.flows(f"{step}/", old, new)
                case _:
                    self.sides.plain(f"{path}.{key}", old, new, steps=me)

    def _parts(self, path: str, before: Mapping[str, Json], after: Mapping[str, Json], step: str) -> None:
        """Compare two messages, examples or checks key by key."""
        for key in dict.fromkeys([*before, *after]):
            old, new = before.get(key), after.get(key)
            if key == "parts" and old is not None and new is not None:
                self.sides.lists(f"{path}.parts", old, new, (step,), lambda where, a, b: self._parts(where, a, b, step))
                continue
            (was, lost), (now, new) = _text(old), _text(new)
            self.sides.plain(f"{path}.{key}", was, now, steps=(step,))
            if was == now and lost != new and sorted(lost) == sorted(new):  # the same files, the other way round
                self.sides.add(f"{path}.{key}", "changed", was, now, steps=(step,))
            self._includes([text for text in lost if text not in new], [text for text in new if text not in lost], step)

    def _includes(self, lost: list[str], new: list[str], step: str) -> None:
        """Note the included texts of one side only: those of one file belong together, the others in order."""
        files = {self._before["files"].get(self.sides.meant(text)): text for text in lost}
        pairs = [(files[name], text) for text in new if (name := self._after["files"].get(text)) in files]
        lost = [text for text in lost if text not in [old for old, _ in pairs]]
        new = [text for text in new if text not in [now for _, now in pairs]]
        for pair in [*pairs, *zip_longest(lost, new)]:
            told = self._included.setdefault(pair, [])
            if step not in told:
                told.append(step)

    def files(self) -> None:
        """Tell each included file that changed once, with the steps that it reaches."""
        for (before, after), steps in self._included.items():
            name = self._before["files"].get(self.sides.meant(before)) if after is None and before else self._after["files"].get(after)
            self.sides.plain(f"file {name}", before, after, steps=tuple(steps))

    def _models(self, step: str, before: list[Json], after: list[Json]) -> None:
        if before == after:
            return
        sides = ((before, self._before, self._pairs[step]), (after, self._after, step))
        told = [
            [model_in_words(one, names[at] if at < len(names) else "") for at, one in enumerate(models)]
            for models, meaning, path in sides
            for names in [meaning["settings"].get(path, {}).get("models", [])]
        ]
        kind: Kind = "added" if not before else "removed" if not after else "changed"
        self.sides.add(f"steps.{step}.model", kind, *(each[0] if len(each) == 1 else each or None for each in told), steps=(step,))

    def _tools(self, step: str, before: list[Json], after: list[Json]) -> None:
        old, new = ({tool["name"]: tool for tool in side} for side in (before, after))
        for name in dict.fromkeys([*new, *old]):
            path = f"steps.{step}.tools.{name}"
            if name not in old or name not in new:
                self.sides.plain(path, old.get(name), new.get(name), steps=(step,))
                continue
            self._pairs[f"{step}/{name}"] = f"{self._pairs[step]}/{name}"
            Types(self.sides, old[name]["parameters"], new[name]["parameters"], steps=(step,)).compare(f"{path}.parameters")
            rest = [{key: value for key, value in side[name].items() if key not in ("parameters", "flow")} for side in (old, new)]
            self.sides.plain(path, *rest, steps=(step,))
            if "flow" in old[name] and "flow" in new[name]:
                self.flows(f"{step}/{name}/", old[name]["flow"], new[name]["flow"])
        if list(old) != list(new) and set(old) == set(new):
            self.sides.add(f"steps.{step}.tools", "moved", list(old), list(new), steps=(step,))

    # -- settings ------------------------------------------------------------------------------------------

    def settings(self) -> list[Change]:
        """Return what changes time, cost or labels only."""
        sides = Sides({}, {})
        touched = {step for change in self.sides.found for step in change.steps}
        for path, old_path in self._pairs.items():
            old, new = self._before["settings"].get(old_path, {}), self._after["settings"].get(path, {})
            for key in dict.fromkeys([*new, *old]):
                if key in _FOLLOWS and path in touched:
                    continue
                where = "needs" if key == "waits" else key
                was: Json
                was, now = self._renamed(old_path, old.get(key)) if key == "waits" else old.get(key), new.get(key)
                if key == "alias":  # what another model costs goes without saying
                    was, now = _shared(was or {}, now or {}), _shared(now or {}, was or {})
                steps = (path,) if path else ()
                sides.plain(f"steps.{path}.{where}" if path else where, was, now, steps=steps, counts=False)
        return sides.found

    def _renamed(self, path: str, waits: list[str] | None) -> list[str] | None:
        """Return the steps that an old step waited for, by their new names."""
        above, slash, _ = path.rpartition("/")
        now = {old: new for new, old in self._pairs.items()}
        return waits and sorted(now.get(f"{above}{slash}{id_}", id_).rpartition("/")[2] for id_ in waits)


def _renames(before: Mapping[str, Json], after: Mapping[str, Json]) -> dict[str, str]:
    """Return the steps whose content stands under another name, old → new; names that they read may have changed so too.

    What is the very same comes first, then what is much alike.
    """
    found: dict[str, str] = {}
    lost = [id_ for id_ in before if id_ not in after]
    new = [id_ for id_ in after if id_ not in before]
    _same_elsewhere(before, after, lost, new, found)
    while lost and (pair := _alike(before, after, lost, new, found)) is not None:
        found[pair[0]] = pair[1]
        _same_elsewhere(before, after, lost, new, found)
    return found


def _same_elsewhere(before: Mapping[str, Json], after: Mapping[str, Json], lost: list[str], new: list[str], found: dict[str, str]) -> None:
    """Add the steps that stand under another name as they were."""
    more = True
    while more:
        more = False
        for was in [id_ for id_ in lost if id_ not in found]:
            content = json.dumps(_rewritten(before[was], found, None))
            now = next((id_ for id_ in new if id_ not in found.values() and json.dumps(after[id_]) == content), None)
            if now is not None:
                found[was] = now
                more = True


def _alike(
    before: Mapping[str, Json], after: Mapping[str, Json], lost: list[str], new: list[str], found: Mapping[str, str]
) -> tuple[str, str] | None:
    """Return the two steps that are most alike; None where none are, or where it is not clear which."""
    olds = {was: [*_words(_rewritten(before[was], found, None))] for was in lost if was not in found}
    news = {now: [*_words(after[now])] for now in new if now not in found.values()}
    rated = sorted(
        (
            (likeness(old, words), was, now)
            for was, old in olds.items()
            for now, words in news.items()
            if before[was].get("kind") == after[now].get("kind")
        ),
        reverse=True,
    )
    for ratio, was, now in rated:
        if ratio < ALIKE:
            return None
        if not any(other >= ratio and (a == was) != (b == now) for other, a, b in rated):
            return was, now
    return None


def likeness(before: Sequence[str], after: Sequence[str]) -> float:
    """Return how much of two texts, as words, is the same: 0 to 1; nothing is like nothing."""
    total = len(before) + len(after)
    if not before or not after or 2 * min(len(before), len(after)) / total < ALIKE:
        return 0.0
    return SequenceMatcher(None, before, after, autojunk=False).ratio()


def _words(value: Json, key: str = "") -> Iterator[str]:
    """Yield the words of a step that its author wrote: not those that all steps have, nor its model, which defaults may give."""
    match value:
        case str():
            yield from _WORD.findall(value)
        case Mapping():
            for name, each in value.items():
                if key in _NAMED:
                    yield name
                if key in _NAMED or name not in _EVERYWHERE:
                    yield from _words(each, name)
        case list():
            for each in value:
                yield from _words(each, key)


def _rewritten(value: Json, renames: Mapping[str, str], sides: Sides | None) -> Json:
    """Return spellings of the old side with the new names of steps, so that a renamed step changes nothing that reads it."""
    if not renames:
        return value
    names = "|".join(map(re.escape, renames))
    pattern = re.compile(rf"(?<![\w.])(steps\.|steps\[')({names})(?!\w)")

    def walk(value: Json) -> Json:
        match value:
            case str():
                text = pattern.sub(lambda m: m[1] + renames[m[2]], value)
                if text != value and sides is not None:
                    sides.alias(text, value)
                return text
            case Mapping():
                # Inside of a sub-flow the same names are those of its own steps.
                return {key: each if key == "flow" else walk(each) for key, each in value.items()}
            case list():
                return [walk(each) for each in value]
        return value

    return walk(value)


def _readers(steps: Mapping[str, Json], root: str, name: str, path: str) -> tuple[str, ...]:
    """Return the steps whose texts or expressions read `root.name`, or `root` whole."""
    pattern = re.compile(rf"(?<![\w.]){root}(?:\.{re.escape(name)}(?!\w)|\[|(?![\w.\[]))")
    return tuple(path + id_ for id_, step in steps.items() if any(pattern.search(each) for each in _expressions(step)))


def _expressions(value: Json, key: str = "") -> Iterator[str]:
    """Yield all expressions in the spelling of a step, those between the braces of its texts too, but not those of sub-flows."""
    match value:
        case str() if key in _TEXTS:
            yield from _BRACES.findall(value)
        case str():
            yield value
        case Mapping():
            given = key in ("set", "with")  # below these, names are the author's
            for name, each in value.items():
                if given or name not in _DATA:
                    yield from _expressions(each, key if given else name)
        case list():
            for each in value:
                yield from _expressions(each, key)


def _record(inputs: Mapping[str, Json], names: Collection[str]) -> dict[str, Any]:
    fields = {name: field for name, field in inputs.get("fields", {}).items() if name in names}
    required = [name for name in inputs.get("required", ()) if name in names]
    return {"type": "object", "properties": fields, "required": required, "$defs": inputs.get("$defs", {})}


def _shared(one: Mapping[str, Json], other: Mapping[str, Json]) -> dict[str, Json]:
    return {name: one[name] for name in sorted(one) if name in other}


def _text(value: Json) -> tuple[Json, list[str]]:
    """Return a spelled text and the texts that it includes."""
    if isinstance(value, Mapping) and "included" in value:
        return value["text"], value["included"]
    return value, []


def model_in_words(model: Mapping[str, Json], name: str) -> str:
    """Return a model in words: `fast (gpt-4.1-mini at api.openai.com, structured auto)`."""
    if "url" not in model:
        return " ".join(filter(None, [name or model.get("name", ""), f"({model['model']})" if "model" in model else ""]))
    more = [f"{key} {json.dumps(value)}" for key, value in model.items() if key not in ("url", "model")]
    what = ", ".join([f"{model['model']} at {urlsplit(model['url']).netloc}", *more])
    return f"{name} ({what})" if name else what
