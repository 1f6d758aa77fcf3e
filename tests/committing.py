"""A git repository in a temporary folder, with a configuration of its own: for tests of what is committed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from flowkit.git import Repository


class Tree:
    """A working tree to write and commit in."""

    def __init__(self, root: Path, env: dict[str, str]) -> None:
        self.root = root
        self.env = env
        self.seconds = 1_700_000_000

    def git(self, *arguments: str, **env: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.root, env=self.env | env, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def put(self, name: str, text: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def commit(self, subject: str) -> str:
        self.seconds += 60
        when = {"GIT_COMMITTER_DATE": f"{self.seconds} +0000", "GIT_AUTHOR_DATE": f"{self.seconds} +0000"}
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject, **when)
        return self.git("rev-parse", "HEAD")

    @property
    def repository(self) -> Repository:
        return Repository.open(self.root, self.env)


def make_tree(folder: Path) -> Tree:
    """An empty repository `work` in a folder, on the branch `main`; nothing of the user's or the machine's git counts."""
    home = folder / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[user]\nname = Ann\nemail = ann@example.org\n[init]\ndefaultBranch = main\n[commit]\ngpgsign = false\n"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env |= {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "XDG_CONFIG_HOME": str(home), "GIT_CEILING_DIRECTORIES": str(folder)}
    root = folder / "work"
    root.mkdir()
    made = Tree(root, env)
    made.git("init", "-q")
    return made
