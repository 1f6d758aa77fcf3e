"""Find the project of a flow and read files below its root, and nothing above it. Knows paths and limits, not what files hold."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from flowkit.errors import FlowkitError

CONFIG_NAME = "flowkit.toml"

#: Bytes of the largest file that is read whole.
LARGEST_FILE = 16 * 1024 * 1024

Reason = Literal["bad-path", "escape", "missing", "not-a-file", "unreadable", "too-large", "not-utf8"]


class PathRefused(FlowkitError):
    """A path that may not or cannot be read; `reason` says in one word why, `hint` the way out."""

    exit_code = 2

    def __init__(self, reason: Reason, message: str, hint: str | None = None) -> None:
        self.reason: Reason = reason
        self.message = message
        self.hint = hint
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Project:
    """The folder that all paths of a flow stay below, and its configuration file if there is one."""

    root: Path
    config: Path | None = None


def find(start: Path) -> Project:
    """Return the project of a flow file or folder.

    The root is the nearest folder upwards with `flowkit.toml`, or `pyproject.toml` with `[tool.flowkit]`; else the root of the
    git repository; else the folder itself. Paths are resolved.
    """
    start = start.resolve()
    folder = start if start.is_dir() else start.parent
    repository: Path | None = None
    for candidate in (folder, *folder.parents):
        if (config := candidate / CONFIG_NAME).is_file():
            return Project(candidate, config)
        if _speaks_of_us(pyproject := candidate / "pyproject.toml"):
            return Project(candidate, pyproject)
        if repository is None and (candidate / ".git").exists():
            repository = candidate
    return Project(repository or folder)


def _speaks_of_us(pyproject: Path) -> bool:
    try:
        data = pyproject.read_bytes()
    except OSError:
        return False
    if b"flowkit" not in data:
        return False
    import tomllib  # slow at start-up, and few files come this far

    try:
        tools = tomllib.loads(data.decode("utf-8")).get("tool")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False  # the tools whose file it is report that better
    return isinstance(tools, dict) and "flowkit" in tools


def resolve(name: str, *, beside: Path, root: Path) -> Path:
    """Return the file that `name` means in the file `beside`, symlinks resolved; raises PathRefused.

    It must be a regular file below `root`, so that a flow cannot read what is not part of its project.
    """
    if not name or "\0" in name:
        raise PathRefused("bad-path", f"{name!r} is not a path", "write a path relative to this file")
    if name.startswith(("/", "\\", "~")) or Path(name).is_absolute():
        raise PathRefused("escape", f"{name!r} is not relative to this file", "write a path relative to this file, below the project root")
    root = Path(os.path.realpath(root))
    path = Path(os.path.realpath(beside.parent / name))
    if not path.is_relative_to(root):
        hint = f"move the file below {str(root)!r}, or put {CONFIG_NAME} into a folder above both"
        raise PathRefused("escape", f"{name!r} lies outside the project root", hint)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise PathRefused("missing", f"there is no file {name!r}", _nearest(path)) from None
    except OSError as error:
        raise PathRefused("unreadable", f"{name!r} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise PathRefused("not-a-file", f"{name!r} is {what}", "name a file")
    return path


def _nearest(path: Path) -> str | None:
    try:
        names = [entry.name for entry in os.scandir(path.parent) if entry.is_file()]
    except OSError:
        return None
    near = get_close_matches(path.name, names, 1)
    return f"did you mean {near[0]!r}?" if near else None


def read_bytes(path: Path, limit: int = LARGEST_FILE) -> bytes:
    """Return what a file holds, at most `limit` bytes; raises PathRefused.

    Only regular files are opened: a pipe would wait for ever, a device has no end.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags)
    except (FileNotFoundError, NotADirectoryError):
        raise PathRefused("missing", f"there is no file {path.name!r}", _nearest(path)) from None
    except (OSError, ValueError) as error:  # ValueError: NUL in the name
        raise PathRefused("unreadable", f"{path.name!r} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise PathRefused("not-a-file", f"{path.name!r} is not a regular file", "name a file")
    with os.fdopen(descriptor, "rb") as file:
        try:
            data = file.read(limit + 1)
        except OSError as error:
            raise PathRefused("unreadable", f"{path.name!r} cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise PathRefused("too-large", f"{path.name!r} holds more than {limit:,} bytes", "split it, or give its data as an input")
    return data


def read_text(path: Path, limit: int = LARGEST_FILE) -> str:
    """Return the text of a UTF-8 file with plain line feeds and without a mark of byte order; raises PathRefused."""
    data = read_bytes(path, limit)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PathRefused("not-utf8", f"{path.name!r} is not UTF-8 (line {line})", "save the file as UTF-8") from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def shown(path: Path, cwd: Path) -> str:
    """Return the path as people see it: relative to `cwd` when it lies below, else whole."""
    return path.relative_to(cwd).as_posix() if path.is_relative_to(cwd) else path.as_posix()
