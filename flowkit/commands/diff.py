"""`flowkit diff`: say what changed in what flows mean, what models are told now, and what a rerun would call. Nothing is called."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import click

from flowkit import config, printable, project
from flowkit.commands import screen
from flowkit.commands.opening import BY_TYPE, FLOW_SUFFIX, Opening, options, pairs
from flowkit.commands.saying import Inputs, added
from flowkit.commands.verb import Verb
from flowkit.commands.versions import WORKING_TREE, Read, Reader, called, flows
from flowkit.comparing import Comparison, Version, compare
from flowkit.console import differences, differences_data, differences_markdown
from flowkit.console.differences import Look
from flowkit.console.paint import Paint
from flowkit.errors import ConfigError, FlowError
from flowkit.git import Repository, split

_EXAMPLES = (
    ("flowkit diff", "all flows below this folder that are not as in HEAD"),
    ("flowkit diff flows/triage.flow.yaml -i ticket=@ticket.txt", "with the messages that models are told, and what a rerun costs"),
    ("flowkit diff flows/triage.flow.yaml main..HEAD --data tickets.jsonl --limit 20", "two revisions, over rows of inputs"),
    ("flowkit diff main...HEAD --format markdown > comment.md", "since main was left, as a comment of a pull request"),
)
#: Rows of a data file that are looked at where nobody says how many.
_ROWS = 100
_SIMULATE = "Answers of steps above: from a file, else by type. Without it, from the record."


@click.command(cls=Verb, examples=_EXAMPLES)
@click.argument("flow", required=False)
@click.argument("revisions", required=False, metavar="[REV[..REV]]")
@options
@click.option("--data", metavar="FILE", help="Rows of inputs, as `flowkit batch` takes them.")
@click.option("--map", "mapped", multiple=True, metavar="INPUT=COLUMN", help="Take an input from a column of another name.")
@click.option("--limit", type=click.IntRange(min=1), default=_ROWS, show_default=True, metavar="N", help="The first N rows.")
@click.option("--simulate", is_flag=False, flag_value=BY_TYPE, metavar="[REPLIES]", help=_SIMULATE)
@click.option("--format", "form", type=click.Choice(["text", "markdown", "json"]), default="text", help="How it is printed.")
@click.option("--full", is_flag=True, help="Leave nothing out.")
@click.option("--exit-code", is_flag=True, help="End with 1 when something differs.")
def command(
    opening: Opening,
    *,
    revisions: str | None,
    data: str | None,
    mapped: tuple[str, ...],
    limit: int,
    simulate: str | None,
    form: str,
    full: bool,
    exit_code: bool,
) -> int:
    """Say what changed in what flows mean, and what models are told now; nothing is called.

    Steps, messages, parameters, models, types, inputs and outputs count; layout does not.

    YAML that was moved or laid out anew is no change. Without revisions HEAD is compared with the working tree; REV with the working
    tree; A..B one with the other; A...B with B what A and B have in common. Without FLOW all flows below this folder are compared.

    With inputs, the messages of both sides are shown side by side, and what a rerun would call and cost. Where a message needs an answer
    from above, it is taken from the record, the same for both sides; nothing is called.

    Exit codes: 0, also when flows differ; with --exit-code 1 when they do; 2 wrong file, revision or input.
    """
    flow, revisions = _targets(opening.flow, revisions)
    opening = replace(opening, flow=flow)
    if not flow and (data or opening.input or opening.inputs or simulate):
        raise click.UsageError("inputs are those of one flow: name it", click.get_current_context())
    repository = Repository.open(Path(flow) if flow else Path.cwd())
    old, new = _sides(repository, revisions)
    env = None if opening.env_file is None else config.dotenv(Path(opening.env_file), os.environ)
    variants = pairs(opening.variant, "--variant", "STEP=NAME, such as reply=short")
    work = _Work(Reader(repository, opening.settings, variants, pairs(opening.model), env), old, new, opening)
    found = [work.one(Path(flow), Inputs(data, mapped, limit, simulate))] if flow else list(work.all())
    _print(found, form, full=full, one=bool(flow))
    wrong = any(each.broken and each.after.meaning is None for each in found)  # how it was, a change may have mended
    return 2 if wrong else int(exit_code and any(each.differs for each in found))


def _targets(flow: str, revisions: str | None) -> tuple[str, str | None]:
    """Return which of two words is the flow, and which the revisions; `FLOW@REV` names both."""
    if revisions is None and not Path(flow).exists():
        flow, revisions = split(flow)
    if revisions is None and flow and not flow.endswith((".yaml", ".yml")) and not Path(flow).is_file():
        return "", flow
    return flow, revisions


def _sides(repository: Repository, revisions: str | None) -> tuple[str, str | None]:
    """Return what is compared; None is the working tree. Raises ConfigError."""
    if revisions is None or ".." not in revisions:
        return revisions or "HEAD", None
    dots = "..." if "..." in revisions else ".."
    old, _, new = revisions.partition(dots)
    old, new = old or "HEAD", new or "HEAD"
    return (repository.fork(old, new) if dots == "..." else old), new


@dataclass(frozen=True, slots=True)
class _Work:
    """Compares flows between two sides."""

    reader: Reader
    old: str
    new: str | None
    opening: Opening

    def one(self, path: Path, inputs: Inputs | None = None) -> Comparison:
        """Compare one flow. Raises FlowError when it is wrong as it is now, ConfigError when neither side has it."""
        with ExitStack() as stack:
            # The working tree first: Python modules of a revision go when it is closed.
            now = self._after(path, stack)
            if inputs is not None and now is not None and self.new is None and now.checked.errors:
                raise FlowError(now.checked.problems)
            then = self._before(path, stack, None if now is None else now.version.shown)
            if now is None and then is None:
                sides = f"{self.old!r} nor {'the working tree' if self.new is None else repr(self.new)}"
                raise ConfigError(f"neither {sides} has {str(path)!r}: name a flow of one of them")
            return self._compared(path, then, now, inputs)

    def _compared(self, path: Path, then: Read | None, now: Read | None, inputs: Inputs | None) -> Comparison:
        shown = project.shown(path.resolve(), Path.cwd())
        before = Version(self.old, self._commit(self.old), shown) if then is None else then.version
        after = Version(self.new or WORKING_TREE, self._commit(self.new), shown) if now is None else now.version
        broken = (now and now.broken) or (then and then.broken)
        if broken:
            return Comparison(shown, before, after, broken=broken)
        same = then is not None and now is not None and not self._touched(then.own | now.own) and before.shown == after.shown
        found = compare(shown, before, after, same_text=same)
        if now is None and then is not None:
            known = dict(self._renames()).get(then.version.shown)
            return found if known is None else replace(found, renamed_to=project.shown(self.reader.repository.root / known, Path.cwd()))
        if inputs is None or now is None or after.plan is None:
            return found
        return added(found, then, now, self.opening, inputs)

    def _renames(self) -> tuple[tuple[str, str], ...]:
        """Return the files that were renamed between the two sides."""
        return self.reader.repository.renamed(self._commit(self.old) or "", self._commit(self.new))

    def _commit(self, revision: str | None) -> str | None:
        return None if revision is None else self.reader.repository.resolve(revision)

    def _touched(self, files: frozenset[str]) -> bool:
        repository = self.reader.repository
        return not files.isdisjoint(repository.changed(self._commit(self.old) or "", self._commit(self.new)))

    def _after(self, path: Path, stack: ExitStack) -> Read | None:
        if self.new is None:
            return self.reader.working(path, self.reader.repository.path(path)) if path.is_file() else None
        return self._committed(path, self.new, stack, None)

    def _before(self, path: Path, stack: ExitStack, name: str | None) -> Read | None:
        newer = None if self.new is None or name is None else self._commit(self.new)
        if name is not None:
            path = self.reader.repository.root / name
        return self._committed(path, self.old, stack, newer)

    def _committed(self, path: Path, revision: str, stack: ExitStack, newer: str | None) -> Read | None:
        repository = self.reader.repository
        name = called(repository, path, repository.resolve(revision), newer)
        return None if name is None else stack.enter_context(self.reader.committed(path, revision, revision, name))

    # -- all flows -----------------------------------------------------------------------------------------

    def all(self) -> Iterator[Comparison]:
        """Yield the flows below this folder of which any file differs."""
        repository, here = self.reader.repository, Path.cwd()
        old, new = repository.resolve(self.old), self._commit(self.new)
        touched = set(repository.changed(old, new))
        renamed = dict(self._renames())
        before = self._flows(old)
        after = {repository.path(path) for path in flows(here)} if new is None else self._flows(new)
        for name in sorted(after | (before - after - set(renamed))):
            with ExitStack() as stack:
                path = repository.root / name
                now = self._after(path, stack) if name in after else None
                if now is not None and name in before and touched.isdisjoint(now.files):
                    continue
                found = self._compared(path, self._before(path, stack, name), now, None)
                if found.differs or not found.same_text:  # a configuration says much that one flow has no part in
                    yield found

    def _flows(self, commit: str) -> set[str]:
        folder = Path.cwd().resolve().relative_to(self.reader.repository.root).as_posix()
        entries = self.reader.repository.list(commit, "" if folder == "." else folder)
        return {entry.path for entry in entries if entry.path.endswith(FLOW_SUFFIX) and "/." not in f"/{entry.path}"}


def _print(found: Sequence[Comparison], form: str, *, full: bool, one: bool) -> None:
    if form == "json":
        screen.out(printable.json_text(differences_data.document(found), indent=2) + "\n")
    elif form == "markdown":
        screen.out(differences_markdown.text(found))
    elif found:
        columns = shutil.get_terminal_size((100, 24)).columns if screen.terminal(sys.stdout) else 100
        look = Look(Paint(on=screen.color(sys.stdout)), columns, full)
        screen.out("\n".join(differences.text(each, look) for each in found))
    else:
        screen.out("no flow below this folder differs\n")
    if one and form == "text" and found[0].messages is None and found[0].counting and found[0].after.plan is not None:
        screen.say("   hint: with -i NAME=VALUE, --inputs or --data the messages of both sides are shown, and what a rerun costs")
