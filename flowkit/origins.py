"""Say where a changed question comes from: which output above it, which input, which lines of which file, which option. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from flowkit import source
from flowkit.errors import Problems
from flowkit.store import RunRow
from flowkit.textdiff import changed

#: Parts of a flow file that steps share.
_SHARED = ("defaults", "models", "types", "values")
#: Columns from which on a changed line is shown by its words.
_LONG = 160
#: Reasons that options of models can be behind.
_OF_MODELS = frozenset({"server", "model", "parameter"})
_READS = re.compile(r"(?<![\w.])(steps|inputs)(?:\.(\w+)|\[\s*['\"](\w+)['\"]\s*\])")


@dataclass(frozen=True, slots=True)
class Side:
    """What is known of a run: its row, the texts of its files by name, and the outputs of its steps as JSON text."""

    run: RunRow
    files: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Origin:
    """One thing that was another: the output of a `step`, an `input`, a `file`, an `option` of the command line. `lines` show it."""

    kind: Literal["step", "input", "file", "option"]
    name: str
    lines: tuple[str, ...] = ()


def origins(step: str, before: Side, after: Side, *, kinds: Collection[str]) -> tuple[Origin, ...]:
    """Return what changed between two runs that can have changed what a step asks; `kinds` are those of the reasons why it is another."""
    blocks = [_blocks(side, step.partition("/")[0]) for side in (before, after)]
    own = "\n".join(line for block in blocks for lines in block.values() for _, line in lines)
    reads = {(found[1], found[2] or found[3]) for found in _READS.finditer(own)}
    return (
        *_outputs({name for root, name in reads if root == "steps"}, before, after),
        *_inputs({name for root, name in reads if root == "inputs"}, before, after),
        *_files(blocks, own, before, after),
        *_options(step, before.run, after.run, kinds),
    )


def _outputs(names: set[str], before: Side, after: Side) -> Iterator[Origin]:
    for name in sorted(names):
        was, now = before.outputs.get(name), after.outputs.get(name)
        if was is not None and now is not None and was != now:
            yield Origin("step", name, tuple(changed(_shown(was), _shown(now))))


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


def _files(blocks: Sequence[Mapping[str, Sequence[tuple[int, str]]]], own: str, before: Side, after: Side) -> Iterator[Origin]:
    flows = [_flow(side) for side in (before, after)]
    lines = tuple(
        line for name in dict.fromkeys([*blocks[0], *blocks[1]]) for line in _numbered(*(block.get(name, ()) for block in blocks))
    )
    if lines and flows[1] is not None:
        yield Origin("file", flows[1], lines)
    for name in sorted({*before.files, *after.files} - {*flows}):
        was, now = before.files.get(name, ""), after.files.get(name, "")
        if was != now and PurePosixPath(name).name.partition(".")[0] in own:
            yield Origin("file", name, tuple(_numbered(*(list(enumerate(text.splitlines(), 1)) for text in (was, now)))))


def _flow(side: Side) -> str | None:
    """Return the name of the flow file itself among the files."""
    path = Path(side.run.path).as_posix()
    return max((name for name in side.files if path == name or path.endswith(f"/{name}")), key=len, default=None)


def _blocks(side: Side, step: str) -> dict[str, list[tuple[int, str]]]:
    """Return the numbered lines of a step in its flow file, and of the parts that steps share."""
    name = _flow(side)
    if name is None:
        return {}
    text = side.files[name]
    root = source.parse(text, path=Path(name), shown=name, problems=Problems()).root
    if not isinstance(root, source.Mapping):
        return {}
    lines = text.splitlines()
    found = {}
    for part, first, last in _parts(root, len(lines)):
        if part in _SHARED:
            found[part] = [(number, lines[number - 1]) for number in range(first, last + 1)]
    steps = root.get("steps")
    if isinstance(steps, source.Mapping):
        _, _, end = next(part for part in _parts(root, len(lines)) if part[0] == "steps")
        for part, first, last in _parts(steps, end):
            if part == step:
                found[f"steps.{step}"] = [(number, lines[number - 1]) for number in range(first, last + 1)]
    return found


def _parts(mapping: source.Mapping, end: int) -> list[tuple[str, int, int]]:
    """Return the keys of a mapping, each with the first and the last line of what stands there."""
    keys = [entry.key for entry in mapping.entries]
    lasts = [key.line - 1 for key in keys[1:]] + [end]
    return [(key.text, key.line, max(key.line, last)) for key, last in zip(keys, lasts, strict=True)]


def _numbered(before: Sequence[tuple[int, str]], after: Sequence[tuple[int, str]]) -> Iterator[str]:
    """Yield the lines that went and came, each with its number in its own file; of long ones only the words."""
    a, b = [line for _, line in before], [line for _, line in after]
    for tag, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        if j - i == m - k and max(map(len, a[i:j] + b[k:m])) > _LONG:
            for (_, was), (number, now) in zip(before[i:j], after[k:m], strict=True):
                yield from (f"{number:>4} ~ {line.strip()}" for line in changed(was, now))
            continue
        yield from (f"{number:>4} - {line}" for number, line in before[i:j] if line.strip())
        yield from (f"{number:>4} + {line}" for number, line in after[k:m] if line.strip())


# -- options -----------------------------------------------------------------------------------------------


def _options(step: str, before: RunRow, after: RunRow, kinds: Collection[str]) -> Iterator[Origin]:
    was, now = json.loads(before.options), json.loads(after.options)
    for name, option in (("model", "-m"), ("env_file", "--env-file"), ("set", "--set"), ("variant", "--variant")):
        if name in ("model", "env_file") and not _OF_MODELS.intersection(kinds):
            continue
        old, new = ([each for each in _listed(side.get(name)) if _reaches(name, each, step)] for side in (was, now))
        gone, come = [each for each in old if each not in new], [each for each in new if each not in old]
        if gone or come:
            yield Origin("option", option, (*(f"- {option} {each}" for each in gone), *(f"+ {option} {each}" for each in come)))


def _reaches(name: str, said: str, step: str) -> bool:
    """Whether a value of an option is about a step, or about all."""
    path = said.partition("=")[0].strip()
    root = step.partition("/")[0]
    if name == "variant":
        return path.partition("/")[0] == root
    return name != "set" or not path.startswith("steps.") or path.startswith(f"steps.{root}.")


def _listed(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else [str(each) for each in value]
