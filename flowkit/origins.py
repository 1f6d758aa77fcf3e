"""Say where a changed question comes from: which output above it, which input, which lines of which file, which option. Pure.

A line can only be the cause of what it can change: `cache` changes no question, `model` no message, a message no server.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from flowkit import source
from flowkit.errors import Problems
from flowkit.store import RunRow
from flowkit.textdiff import changed

#: Columns from which on a changed line is shown by its words.
_LONG = 160
#: Reasons that options and the configuration of models can be behind.
_OF_MODELS = frozenset({"server", "model", "parameter"})
_MESSAGE, _SCHEMA = frozenset({"message"}), frozenset({"schema"})
_ANYTHING = _OF_MODELS | _MESSAGE | _SCHEMA | {"tool"}
#: What a key of a step, and of the file around it, can change of a question; all others change none.
_OF_STEP: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("messages", "prompt", "system", "examples", "foreach", "as", "with", "repeat"), _MESSAGE),
    "tools": frozenset({"tool", "message"}),
    "output": _SCHEMA,
    "uses": _ANYTHING,
    "model": _OF_MODELS,
    "params": frozenset({"parameter"}),
    "variants": _ANYTHING,
}
_OF_FILE: Final[Mapping[str, frozenset[str]]] = {"values": _MESSAGE, "types": _SCHEMA, "models": _OF_MODELS}
_CACHE: Final[Mapping[str, frozenset[str]]] = {"cache": frozenset()}
_READS = re.compile(r"(?<![\w.])(steps|inputs)(?:\.(\w+)|\[\s*['\"](\w+)['\"]\s*\])")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Side:
    """What is known of a run: its row, the texts of its files by name, and the outputs of its steps as JSON text."""

    run: RunRow
    files: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Origin:
    """One thing that was another: the output of a `step`, an `input`, a `file`, an `option`, or the `configuration`. `lines` show it."""

    kind: Literal["step", "input", "file", "option", "configuration"]
    name: str
    lines: tuple[str, ...] = ()
    #: What a step was called before, where it has another name now.
    was: str | None = None


def origins(step: str, before: Side, after: Side, *, kinds: Collection[str]) -> tuple[Origin, ...]:
    """Return what changed between two runs that can have changed what a step asks; `kinds` are those of the reasons why it is another."""
    wanted = frozenset(kinds)
    passages = [_passages(side, step, wanted) for side in (before, after)]
    reads = [_reads(each) for each in passages]
    renamed = _renamed(reads, before, after)
    found: list[Origin] = []
    if "message" in wanted:
        found += _outputs(reads, renamed, before, after)
        found += _inputs({name for each in reads for root, name in each if root == "inputs"}, before, after)
    edited = _edited(passages, renamed)
    found += _files(passages, edited, renamed, before, after)
    options = list(_options(step, before.run, after.run, wanted))
    explained = frozenset().union(*(kind for _, kind in options), *(each.kinds for side in edited for each in side))
    found += [origin for origin, _ in options]
    if _OF_MODELS & (wanted - explained):
        found.append(Origin("configuration", ""))
    return tuple(found)


def refuses(step: str, side: Side) -> bool:
    """Whether a step of a run said, in its flow or by an option, that no answer is used again."""
    said = [each.value for root, id_, level, name, lines in _levels(side, step) for each in _of_step(root, id_, level, name, lines, _CACHE)]
    options = [each for each in _listed(json.loads(side.run.options).get("set")) if _reaches("set", each, step)]
    return "false" in said or any(re.fullmatch(r".*\bcache\s*[=:]\s*false\W*", each) for each in options)


def _outputs(reads: Sequence[Sequence[tuple[str, str]]], renamed: Mapping[str, str], before: Side, after: Side) -> Iterator[Origin]:
    earlier = {new: old for old, new in renamed.items()}
    for name in sorted({name for each in reads for root, name in each if root == "steps"} - {*renamed}):
        was, now = before.outputs.get(earlier.get(name, name)), after.outputs.get(name)
        if was is not None and now is not None and was != now:
            yield Origin("step", name, tuple(changed(_shown(was), _shown(now))), earlier.get(name))


def _inputs(names: set[str], before: Side, after: Side) -> Iterator[Origin]:
    was, now = json.loads(before.run.inputs), json.loads(after.run.inputs)
    for name in sorted(names):
        if was.get(name) != now.get(name):
            yield Origin("input", name, tuple(changed(*(_shown(json.dumps(side.get(name), ensure_ascii=False)) for side in (was, now)))))


def _shown(text: str) -> str:
    """Return JSON as people read it: a text as such."""
    found: Any = json.loads(text)
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


# -- files -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Passage:
    """What stands under one key of a flow file that can change a question; `level` counts the sub-flows that it is inside of."""

    level: int
    file: str
    key: str
    kinds: frozenset[str]
    #: Its value nearly as JSON, its lines with their numbers.
    value: str
    lines: Sequence[tuple[int, str]]


def _files(
    passages: Sequence[Sequence[_Passage]], edited: Sequence[Sequence[_Passage]], renamed: Mapping[str, str], before: Side, after: Side
) -> Iterator[Origin]:
    files = {each.level: each.file for side in edited for each in side}
    for level, name in files.items():
        was, now = (sorted({line for each in side if each.level == level for line in each.lines}) for side in edited)
        yield Origin("file", name, tuple(_numbered(was, now, renamed)))
    own = "\n".join(each.value for side in passages for each in side)
    flows = {each.file for side in passages for each in side} | {_flow(before), _flow(after)}
    for name in sorted({*before.files, *after.files} - flows):
        texts = before.files.get(name, ""), after.files.get(name, "")
        if texts[0] != texts[1] and PurePosixPath(name).name.partition(".")[0] in own:
            old, new = (list(enumerate(text.splitlines(), 1)) for text in texts)
            yield Origin("file", name, tuple(_numbered(old, new, {})))


def _edited(passages: Sequence[Sequence[_Passage]], renamed: Mapping[str, str]) -> list[list[_Passage]]:
    """Return the passages of both sides that are not the same in the other, but for the new names of steps."""
    values = [{(each.level, each.key): each.value for each in side} for side in passages]
    values[0] = {key: _with_names(value, renamed) for key, value in values[0].items()}
    differ = {key for key in {*values[0], *values[1]} if values[0].get(key) != values[1].get(key)}
    return [[each for each in side if (each.level, each.key) in differ] for side in passages]


def _flow(side: Side) -> str | None:
    """Return the name of the flow file itself among the files."""
    path = Path(side.run.path).as_posix()
    return max((name for name in side.files if path == name or path.endswith(f"/{name}")), key=len, default=None)


def _passages(side: Side, step: str, wanted: frozenset[str]) -> list[_Passage]:
    """Return what can have changed these parts of a question of a step: in its file, and in those of the sub-flows that it is inside of."""
    found: list[_Passage] = []
    varied = any(_reaches("variant", said, step) for said in _listed(json.loads(side.run.options).get("variant")))
    for root, id_, level, name, lines in _levels(side, step):
        own = [each for each in _of_step(root, id_, level, name, lines, _OF_STEP) if each.key != "variants" or varied]
        own = [each for each in own if each.kinds & wanted or (each.key == "output" and "message" in wanted and "schema" not in wanted)]
        found += [*own, *_shared(root, own, level, name, lines, wanted)]
    return found


def _levels(side: Side, step: str) -> Iterator[tuple[source.Mapping, str, int, str, Sequence[str]]]:
    """Yield the flow file, and those of the sub-flows that a step is inside of, each with the id of the step that matters there."""
    name = _flow(side)
    for level, id_ in enumerate(step.split("/")):
        if name is None or name not in side.files:
            return
        root = source.parse(side.files[name], path=Path(name), shown=name, problems=Problems()).root
        if not isinstance(root, source.Mapping):
            return
        yield root, id_, level, name, side.files[name].splitlines()
        steps = root.get("steps")
        here = steps.get(id_) if isinstance(steps, source.Mapping) else None
        uses = here.get("uses") if isinstance(here, source.Mapping) else None
        name = posixpath.normpath(posixpath.join(posixpath.dirname(name), uses.text)) if isinstance(uses, source.Scalar) else None


def _of_step(
    root: source.Mapping, id_: str, level: int, file: str, lines: Sequence[str], kinds: Mapping[str, frozenset[str]]
) -> Iterator[_Passage]:
    """Yield the keys of a step, and those of `defaults`."""
    for owner, _, last in _parts(root, len(lines)):
        held = root.get(owner)
        if owner == "defaults" and isinstance(held, source.Mapping):
            yield from _keyed(held, last, "defaults.", kinds, level, file, lines)
        if owner == "steps" and isinstance(held, source.Mapping):
            for name, _, end in _parts(held, last):
                step = held.get(name)
                if name == id_ and isinstance(step, source.Mapping):
                    yield from _keyed(step, end, "", kinds, level, file, lines)


def _shared(
    root: source.Mapping, own: Sequence[_Passage], level: int, file: str, lines: Sequence[str], wanted: frozenset[str]
) -> list[_Passage]:
    """Return the values, types and models of a file that these passages name, or that those name in turn."""
    there: list[_Passage] = []
    for owner, _, last in _parts(root, len(lines)):
        held = root.get(owner)
        if owner in _OF_FILE and isinstance(held, source.Mapping):
            kinds = dict.fromkeys((entry.key.text for entry in held.entries), _OF_FILE[owner])
            there += _keyed(held, last, f"{owner}.", kinds, level, file, lines)
    there = [each for each in there if each.kinds & wanted or (each.key.startswith("types.") and "message" in wanted)]
    found: list[_Passage] = []
    words = {word for each in own for word in _WORD.findall(each.value)}
    while more := [each for each in there if each not in found and each.key.partition(".")[2] in words]:
        found += more
        words |= {word for each in more for word in _WORD.findall(each.value)}
    return found


def _keyed(
    mapping: source.Mapping, end: int, prefix: str, kinds: Mapping[str, frozenset[str]], level: int, file: str, lines: Sequence[str]
) -> Iterator[_Passage]:
    for key, first, last in _parts(mapping, end):
        node = mapping.get(key)
        if key in kinds and node is not None:
            # Texts in it stand as they are, so that what they read is found.
            value = json.dumps(source.plain(node), ensure_ascii=False, default=str).replace("\\n", "\n").replace('\\"', '"')
            numbered = [(number, lines[number - 1]) for number in range(first, last + 1)]
            yield _Passage(level, file, f"{prefix}{key}", kinds[key], value, numbered)


def _parts(mapping: source.Mapping, end: int) -> list[tuple[str, int, int]]:
    """Return the keys of a mapping, each with the first and the last line of what stands there."""
    keys = [entry.key for entry in mapping.entries]
    lasts = [key.line - 1 for key in keys[1:]] + [end]
    return [(key.text, key.line, max(key.line, last)) for key, last in zip(keys, lasts, strict=True)]


def _numbered(before: Sequence[tuple[int, str]], after: Sequence[tuple[int, str]], renamed: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines that went and came, each with its number in its own file; of long ones only the words."""
    a, b = [_with_names(line, renamed) for _, line in before], [line for _, line in after]
    for tag, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        if j - i == m - k and max(map(len, a[i:j] + b[k:m])) > _LONG:
            for (_, was), (number, now) in zip(before[i:j], after[k:m], strict=True):
                yield from (f"{number:>4} ~ {line.strip()}" for line in changed(was, now))
            continue
        yield from (f"{number:>4} - {line}" for number, line in before[i:j] if line.strip())
        yield from (f"{number:>4} + {line}" for number, line in after[k:m] if line.strip())


# -- names of steps ----------------------------------------------------------------------------------------


def _reads(passages: Sequence[_Passage]) -> list[tuple[str, str]]:
    """Return the steps and inputs that are read, in the order in which they are named."""
    return list(dict.fromkeys((found[1], found[2] or found[3]) for each in passages for found in _READS.finditer(each.value)))


def _renamed(reads: Sequence[Sequence[tuple[str, str]]], before: Side, after: Side) -> Mapping[str, str]:
    """Return the new names of steps that are read on both sides, but no longer exist under the old one."""
    gone = [name for root, name in reads[0] if root == "steps" and name not in after.outputs]
    come = [name for root, name in reads[1] if root == "steps" and name not in before.outputs]
    return dict(zip(gone, come, strict=True)) if len(gone) == len(come) else {}


def _with_names(text: str, renamed: Mapping[str, str]) -> str:
    """Return a text with the steps that it reads under their new names."""

    def new(found: re.Match[str]) -> str:
        group = 2 if found[2] else 3
        if found[1] != "steps" or found[group] not in renamed:
            return found[0]
        start, end = (place - found.start() for place in found.span(group))
        return found[0][:start] + renamed[found[group]] + found[0][end:]

    return _READS.sub(new, text) if renamed else text


# -- options -----------------------------------------------------------------------------------------------


def _options(step: str, before: RunRow, after: RunRow, kinds: frozenset[str]) -> Iterator[tuple[Origin, frozenset[str]]]:
    """Yield options that changed, each with the kinds of reasons that it can be behind."""
    was, now = json.loads(before.options), json.loads(after.options)
    for name, option in (("model", "-m"), ("env_file", "--env-file"), ("set", "--set"), ("variant", "--variant")):
        old, new = ([each for each in _listed(side.get(name)) if _reaches(name, each, step)] for side in (was, now))
        gone, come = [each for each in old if each not in new], [each for each in new if each not in old]
        behind = frozenset().union(*(_behind(name, each) for each in (*gone, *come)))
        if behind & kinds:
            yield Origin("option", option, (*(f"- {option} {each}" for each in gone), *(f"+ {option} {each}" for each in come))), behind


def _behind(name: str, said: str) -> frozenset[str]:
    """Return what of a question a value of an option can change."""
    if name in ("model", "env_file"):
        return _OF_MODELS
    if name == "variant":
        return _ANYTHING
    parts = re.split(r"[.\[]", said.partition("=")[0].strip())
    if parts[0] in _OF_FILE:
        return _OF_FILE[parts[0]]
    key = parts[1] if parts[0] == "defaults" and len(parts) > 1 else parts[2] if parts[0] == "steps" and len(parts) > 2 else ""
    return _OF_STEP.get(key, frozenset()) | (_MESSAGE if key == "output" else frozenset())


def _reaches(name: str, said: str, step: str) -> bool:
    """Whether a value of an option is about a step, or about all."""
    path = said.partition("=")[0].strip()
    root = step.partition("/")[0]
    if name == "variant":
        return path.partition("/")[0] == root
    return name != "set" or not path.startswith("steps.") or path.startswith(f"steps.{root}.")


def _listed(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else [str(each) for each in value]
