"""`flowkit fmt`: lay flow files out in one way; what they say stays."""

from __future__ import annotations

import difflib
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from flowkit import layout, printable, project
from flowkit.commands import check, screen
from flowkit.commands.verb import Verb
from flowkit.console import problems
from flowkit.errors import ConfigError, FlowError, FlowkitError, Problem
from flowkit.layout import Unfaithful
from flowkit.project import PathRefused

SUFFIXES = (".flow.yaml", ".types.yaml", ".test.yaml")
_STDIN = "-"
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_EXAMPLES = (
    ("flowkit fmt", "all flow, types and test files below this folder"),
    ("flowkit fmt --check", "change nothing; fail if a file would change"),
    ("flowkit fmt flows/triage.flow.yaml --diff", "show what would change"),
    ("flowkit fmt - < draft.flow.yaml", "stdin to stdout, for editors"),
)


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it is and as it is laid out."""

    path: Path
    shown: str
    old: bytes
    new: bytes

    @property
    def changed(self) -> bool:
        return self.old != self.new


@click.command(cls=Verb, examples=_EXAMPLES)
@click.argument("paths", nargs=-1, metavar="[FILE | FOLDER | -]...")
@click.option("--check", "checking", is_flag=True, help="Write nothing; list the files that would change, and fail if there are any.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change as a unified diff.")
def command(*, paths: tuple[str, ...], checking: bool, diff: bool) -> int:
    """Lay out flow files in one way; what they say stays.

    Indentation, order of keys, blank lines; every comment stays.

    Without paths, all *.flow.yaml, *.types.yaml and *.test.yaml below this folder are laid out. The result is compared with the file
    before it is written: data and comments are the same, or the file is left as it is. A file that cannot be read is left too.

    Exit codes: 0 done; 1 a file would change (--check); 2 a file cannot be read, or there is none.
    """
    if _STDIN in paths:
        if len(paths) > 1:
            raise click.UsageError("- stands alone: one file comes from stdin", click.get_current_context())
        return _stdin(checking=checking, diff=diff)
    names = list(dict.fromkeys(file for path in paths or (".",) for file in _found(Path(path))))
    if not names:
        raise ConfigError(f"there is no {', '.join('*' + suffix for suffix in SUFFIXES)} below {' or '.join(paths) or 'this folder'}")
    files, refused, worst = _read(names)
    changed = [file for file in files if file.changed]
    for file in changed:
        if diff:
            _show(file)
        elif checking:
            screen.out(printable.line(file.shown) + "\n")
        else:
            _write(file)
            screen.say(f"laid out {printable.line(file.shown)}")
    if refused:
        screen.say(_problems(refused, len(names)))
    screen.say(_summary(len(changed), len(files) - len(changed), len(names) - len(files), dry=checking or diff))
    return worst or int(checking and bool(changed))


def _found(path: Path) -> Iterator[Path]:
    """Yield a file, or the files below a folder that are laid out, in order of their names."""
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in check._FOREIGN)
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(SUFFIXES))


def _read(names: list[Path]) -> tuple[list[_File], list[Problem], int]:
    """Lay out each file; return those that could be, the problems of the others, and the exit code that they ask for."""
    files: list[_File] = []
    refused: list[Problem] = []
    worst = 0
    for name in names:
        shown = project.shown(Path(os.path.abspath(name)), Path.cwd())  # noqa: PTH100 - a link is shown by its own name
        try:
            old = project.read_bytes(name)
            files.append(_File(name, shown, old, layout.laid_out(old, path=name, shown=shown)))
        except PathRefused as error:
            screen.complain(printable.block(f"{shown}: {error.message}" + (f"; {error.hint}" if error.hint else "")))
            worst = max(worst, error.exit_code)
        except FlowError as error:
            refused += error.problems
            worst = max(worst, error.exit_code)
        except Unfaithful as error:
            screen.complain(_bug(shown, error))
            worst = max(worst, error.exit_code)
    return files, refused, worst


def _stdin(*, checking: bool, diff: bool) -> int:
    """Lay out what comes from stdin. Raises FlowError, or FlowkitError when the result would not say the same."""
    old = sys.stdin.buffer.read()
    try:
        file = _File(Path("stdin.flow.yaml"), "<stdin>", old, layout.laid_out(old, path=Path("stdin.flow.yaml"), shown="<stdin>"))
    except Unfaithful as error:
        screen.complain(_bug("<stdin>", error))
        return error.exit_code
    if diff:
        _show(file)
    elif not checking:
        # As bytes: on some systems a text stream would change its line ends.
        stdout = sys.stdout.buffer
        stdout.write(file.new)
        stdout.flush()
    elif file.changed:
        screen.out(f"{file.shown}\n")
    return int(checking and file.changed)


def _bug(shown: str, error: Unfaithful) -> str:
    return f"{printable.line(shown)}: left as it is: {error}\n   hint: this is a bug in flowkit fmt; please report it with the file"


def _problems(found: list[Problem], files: int) -> str:
    text = problems.text(sorted(found), files=files, color=screen.color(sys.stderr), columns=screen.columns())
    return text.rstrip("\n")


def _summary(changed: int, same: int, left: int, *, dry: bool) -> str:
    parts = []
    if changed:
        parts.append(f"{printable.plural(changed, 'file')} {'would change' if dry else 'laid out'}")
    if same:
        parts.append(f"{printable.plural(same, 'file')} as {'it' if same == 1 else 'they'} should be")
    if left:
        parts.append(f"{printable.plural(left, 'file')} left alone")
    return ", ".join(parts)


def _show(file: _File) -> None:
    """Print what would change as a unified diff, which `patch` and `git apply` take."""
    old, new = (_LINE.findall(data.decode("utf-8")) for data in (file.old, file.new))
    colors = {"-": "\x1b[31m", "+": "\x1b[32m", "@": "\x1b[36m"} if screen.color(sys.stdout) else {}
    text = []
    for line in difflib.unified_diff(old, new, f"a/{file.shown}", f"b/{file.shown}"):
        bare = line.rstrip("\r\n")
        ended = line if line.endswith("\n") else f"{bare}\n\\ No newline at end of file\n"
        color = colors.get(line[:1])
        text.append(f"{color}{bare}\x1b[0m{ended[len(bare) :]}" if color else ended)
    screen.out("".join(text))


def _write(file: _File) -> None:
    """Put the new text in the place of the old one at once, with its mode; a link stays a link. Raises FlowkitError."""
    target = Path(os.path.realpath(file.path))
    temporary = ""
    try:
        with target.open("r+b"):  # replacing asks the folder alone, but a file that may not be written is not meant to change
            mode = stat.S_IMODE(target.stat().st_mode)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(descriptor, "wb") as written:
            written.write(file.new)
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except OSError as error:
        with suppress(OSError):
            Path(temporary).unlink()
        raise FlowkitError(f"{file.shown}: {error.strerror}; it is as it was") from error
