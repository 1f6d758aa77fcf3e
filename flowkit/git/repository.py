"""Read a git repository: what is committed, what changed, how files were called. Changes nothing and knows no flow."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowkit.errors import ConfigError
from flowkit.git.process import GitFailed, ask
from flowkit.project import LARGEST_FILE
from flowkit.spelling import did_you_mean

#: Arguments of one call; systems bound the length of a command line.
_MANY = 500
_STATUS = re.compile(rb"[A-Z]+[0-9]*")


@dataclass(frozen=True, slots=True)
class Revision:
    """Where files stand: the commit, None before the first one, and whether any of them differs from it."""

    commit: str | None
    dirty: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a commit; `path` from the top of the repository. Only a regular one is neither a link nor a submodule."""

    path: str
    id: str
    size: int
    regular: bool


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that touched some files; `seconds` since the epoch, of the commit. `names` tells how each file was called in it."""

    id: str
    author: str
    seconds: int
    subject: str
    #: Path as asked for → path in this commit, both from the top; a file that was not there is not named.
    names: Mapping[str, str] = field(default_factory=dict)
    #: Whether it joins several.
    merge: bool = False


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository with a working tree; `root` is its top, resolved. `env` is read in place of the process's environment."""

    root: Path
    env: Mapping[str, str] | None = None

    @classmethod
    def find(cls, path: Path, env: Mapping[str, str] | None = None) -> Repository | None:
        """Return the repository of a file or folder; None where there is none, or no git."""
        try:
            return cls.open(path, env)
        except GitFailed:
            return None

    @classmethod
    def open(cls, path: Path, env: Mapping[str, str] | None = None) -> Repository:
        """Return the repository of a file or folder.

        Raises:
            GitFailed: there is none, git is not installed, or it does not trust the folder.
        """
        folder = path.resolve()
        while not folder.is_dir():
            folder = folder.parent
        try:
            top = ask(folder, ["rev-parse", "--show-toplevel"], env=env)
        except GitFailed as refused:
            if "not a git repository" in refused.said:
                raise GitFailed(
                    f"{str(folder)!r} lies in no git repository: run `git init` there, or name a flow of one", refused.said
                ) from None
            raise
        return cls(Path(os.fsdecode(top.removesuffix(b"\n"))).resolve(), env)

    def path(self, file: Path) -> str:
        """Return the path of a file as git names it, from the top. Raises GitFailed for one outside."""
        whole = file.parent.resolve() / file.name  # a link is named, not what it leads to
        if not whole.is_relative_to(self.root):
            raise GitFailed(f"{str(file)!r} lies outside the repository {str(self.root)!r}")
        return whole.relative_to(self.root).as_posix()

    # -- revisions -----------------------------------------------------------------------------------------

    def resolve(self, revision: str) -> str:
        """Return the full id of the commit that a revision names.

        Raises:
            ConfigError: there is no such commit.
        """
        if revision and not revision.startswith("-") and revision.isprintable():
            try:
                return self._ask("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode("ascii").strip()
            except GitFailed as refused:
                if refused.said:
                    raise ConfigError(f"revision {revision!r} is not clear: {refused.said}") from None
        raise ConfigError(f"{revision!r} is no revision of the repository {str(self.root)!r}: {self._way_out(revision)}")

    def _way_out(self, revision: str) -> str:
        if self._ask("rev-parse", "--is-shallow-repository").strip() == b"true":
            return "this clone is shallow, so it may be missing; run `git fetch --unshallow`"
        names = self._ask("for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags").decode("utf-8", "replace").split()
        return did_you_mean(revision, names) or "name a branch, a tag, or a commit such as HEAD~1"

    def revision(self, files: Iterable[Path]) -> Revision:
        """Return the commit that is checked out, and whether any of the files differs from it, is not in it, or lies outside."""
        inside, outside = [], False
        for file in files:
            try:
                inside.append(self.path(file))
            except GitFailed:
                outside = True
        asked = ["status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--ignored=matching", "--no-renames", "--"]
        commit, dirty = None, outside
        for some in _portions(inside):
            for line in ask(self.root, [*asked, *some], env=self.env, index=self._own_index()).split(b"\0"):
                if line.startswith(b"# branch.oid ") and line != b"# branch.oid (initial)":
                    commit = line.removeprefix(b"# branch.oid ").decode("ascii")
                elif line and not line.startswith(b"# "):
                    dirty = True
        if not inside:
            commit = self._head()
        return Revision(commit, dirty)

    def _head(self) -> str | None:
        try:
            return self.resolve("HEAD")
        except ConfigError:
            return None

    def _own_index(self) -> bool:
        """Whether we are called by a hook of this very repository, whose commit under way has an index of its own."""
        env = os.environ if self.env is None else self.env
        if "GIT_DIR" not in env or "GIT_INDEX_FILE" not in env:
            return False
        mine = Path(os.fsdecode(self._ask("rev-parse", "--absolute-git-dir").removesuffix(b"\n"))).resolve()
        return (self.root / env["GIT_DIR"]).resolve() == mine

    def fork(self, one: str, other: str) -> str:
        """Return the commit from which two revisions went apart. Raises ConfigError when there is none."""
        try:
            return self._ask("merge-base", self.resolve(one), self.resolve(other)).decode("ascii").strip()
        except GitFailed:
            raise ConfigError(f"{one!r} and {other!r} have no commit in common: name one commit, or two with `..`") from None

    # -- files ---------------------------------------------------------------------------------------------

    def list(self, commit: str, folder: str = "") -> tuple[Entry, ...]:
        """Return the files of a commit below a folder, or at one path; none where it does not exist."""
        return self._entries("-r", commit, [folder] if folder else [])

    def entries(self, commit: str, paths: Sequence[str]) -> tuple[Entry, ...]:
        """Return the files of a commit at these paths."""
        return tuple(entry for some in _portions(paths) for entry in self._entries("-l", commit, some))

    def _entries(self, option: str, commit: str, paths: Sequence[str]) -> tuple[Entry, ...]:
        found = []
        for line in self._ask("ls-tree", option, "-l", "-z", "--full-tree", commit, "--", *paths).split(b"\0"):
            if line:
                about, _, path = line.partition(b"\t")
                mode, kind, id_, size = about.decode("ascii").split()
                if kind != "tree":
                    found.append(Entry(os.fsdecode(path), id_, int(size) if size != "-" else 0, mode.startswith("100")))
        return tuple(found)

    def show(self, commit: str, path: str) -> bytes | None:
        """Return what a file held in a commit; None where there is no regular file of at most 16 MiB at that path."""
        found = [e for e in self.entries(commit, [path]) if e.path == path and e.regular and e.size <= LARGEST_FILE]
        return self.contents(found)[path] if found else None

    def contents(self, entries: Sequence[Entry]) -> dict[str, bytes]:
        """Return what files hold, all from one process. The caller bounds their sizes."""
        if not entries:
            return {}
        answer = self._ask("cat-file", "--batch", given="".join(f"{entry.id}\n" for entry in entries).encode("ascii"))
        found: dict[str, bytes] = {}
        at = 0
        for entry in entries:
            line = answer.index(b"\n", at)
            about = answer[at:line].split()
            if len(about) != 3:  # a partial clone lacks it
                raise GitFailed(f"git lacks the content of {entry.path!r}: run `git fetch`")
            end = line + 1 + int(about[2])
            found[entry.path] = answer[line + 1 : end]
            at = end + 1
        return found

    # -- history -------------------------------------------------------------------------------------------

    def log(self, paths: Sequence[str], revision: str = "HEAD") -> tuple[Commit, ...]:
        """Return the commits that touched any of these paths, newest first; each path is followed to its earlier names.

        A path that this revision does not have gives nothing.
        """
        tip = self.resolve(revision)
        told: dict[str, Commit] = {}
        steps: dict[str, dict[str, tuple[str | None, str | None]]] = {}
        for path in dict.fromkeys(paths):
            for commit, before, after in self._followed(tip, path):
                told[commit.id] = commit
                steps.setdefault(commit.id, {})[path] = (before, after)
        if not told:
            return ()
        called = {name for each in steps.values() for pair in each.values() for name in pair if name}
        order = self._ask("rev-list", "--topo-order", "--full-history", tip, "--", *sorted(called)).decode("ascii").split()
        names: dict[str, str | None] = dict.fromkeys(paths)
        names.update({path: path for path in paths if self.entries(tip, [path])})
        found = []
        for id_ in order:
            if id_ in told:
                here = {path: after for path, (_, after) in steps[id_].items()}
                now = {path: here.get(path, name) for path, name in names.items()}
                found.append(Commit(id_, told[id_].author, told[id_].seconds, told[id_].subject, {p: n for p, n in now.items() if n}))
                names.update({path: before for path, (before, _) in steps[id_].items()})
        return tuple(found)

    def _followed(self, tip: str, path: str) -> Iterator[tuple[Commit, str | None, str | None]]:
        """Yield the commits that touched one file, with its name before and after each."""
        form = "--format=%H%x1f%ct%x1f%an%x1f%s"
        asked = ["--follow", "-M", "--no-ext-diff", "--diff-merges=combined", "--encoding=UTF-8", "-z", "--name-status", form]
        said = self._ask("log", *asked, tip, "--", path)
        words = said.split(b"\0")
        commit: Commit | None = None
        while words:
            word = words.pop(0)
            if b"\x1f" in word and not word.startswith(b"\n"):
                id_, seconds, author, subject = word.decode("utf-8", "replace").split("\x1f", 3)
                commit = Commit(id_, author, int(seconds), subject)
            elif commit is not None and _STATUS.fullmatch(status := word.removeprefix(b"\n")):
                first = os.fsdecode(words.pop(0))
                last = os.fsdecode(words.pop(0)) if status[:1] in b"RC" and status[1:].isdigit() else first
                yield commit, None if status == b"A" else first, None if status == b"D" else last

    def commit(self, revision: str) -> Commit:
        """Return what a commit says of itself. Raises ConfigError when there is none."""
        said = self._ask("log", "-1", "--encoding=UTF-8", "--format=%H%x1f%ct%x1f%an%x1f%P%x1f%s", self.resolve(revision), "--")
        id_, seconds, author, parents, subject = said.decode("utf-8", "replace").removesuffix("\n").split("\x1f", 4)
        return Commit(id_, author, int(seconds), subject, merge=" " in parents)

    def name_at(self, commit: str, path: str) -> str | None:
        """Return how the file that is called `path` in the working tree was called in a commit; None where it was not there."""
        if self.entries(commit, [path]):
            return path
        for before, after in self.renamed(commit):
            if after == path:
                return before
        return next((old.names[path] for old in self.log([path]) if self._reaches(old, commit, path)), None)

    def _reaches(self, old: Commit, commit: str, path: str) -> bool:
        return path in old.names and any(e.path == old.names[path] for e in self.entries(commit, [old.names[path]]))

    def renamed(self, old: str, new: str | None = None) -> tuple[tuple[str, str], ...]:
        """Return the files that were renamed from one commit to another, or to the working tree: (before, after)."""
        sides = [old] if new is None else [old, new]
        words = self._ask("diff", "-M", "--no-ext-diff", "--diff-filter=R", "--name-status", "-z", *sides, "--").split(b"\0")
        return tuple((os.fsdecode(words[at + 1]), os.fsdecode(words[at + 2])) for at in range(0, len(words) - 2, 3))

    def changed(self, old: str, new: str | None = None, folder: str = "") -> tuple[str, ...]:
        """Return the files that differ between two commits, or from a commit to the working tree as far as git knows its files."""
        sides = [old] if new is None else [old, new]
        where = [folder] if folder else []
        said = self._ask("diff", "--no-renames", "--no-ext-diff", "--name-only", "-z", *sides, "--", *where)
        return tuple(os.fsdecode(path) for path in said.split(b"\0") if path)

    def _ask(self, *arguments: str, given: bytes | None = None) -> bytes:
        return ask(self.root, arguments, given=given, env=self.env)


def _portions(paths: Sequence[str]) -> list[Sequence[str]]:
    return [paths[at : at + _MANY] for at in range(0, len(paths), _MANY)]
