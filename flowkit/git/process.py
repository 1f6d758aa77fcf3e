"""Ask git one thing and return its bytes. The only room that starts a process; it reads no configuration of ours."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from flowkit.errors import ConfigError

#: Seconds after which git is taken to hang.
PATIENCE = 120.0

#: What a hook or a wrapper sets to name a repository (`git rev-parse --local-env-vars`): the folder that is asked about decides here.
_LOCAL = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_COMMON_DIR GIT_CONFIG GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS GIT_DIR GIT_GRAFT_FILE "
    "GIT_IMPLICIT_WORK_TREE GIT_INDEX_FILE GIT_INTERNAL_SUPER_PREFIX GIT_NAMESPACE GIT_NO_REPLACE_OBJECTS GIT_OBJECT_DIRECTORY GIT_PREFIX "
    "GIT_REPLACE_REF_BASE GIT_SHALLOW_FILE GIT_WORK_TREE"
).split()
#: What changes the form of answers, or asks people.
_FORM = ("GIT_DIFF_OPTS", "GIT_EXTERNAL_DIFF", "GIT_GLOB_PATHSPECS", "GIT_ICASE_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ASKPASS")
_SET = {
    "GIT_LITERAL_PATHSPECS": "1",  # a `*` in a name is a `*`
    "GIT_NO_LAZY_FETCH": "1",  # a partial clone is not filled from the network
    "GIT_OPTIONAL_LOCKS": "0",  # reading takes no lock, so that a commit under way is not disturbed
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
    "LANGUAGE": "",
}
#: A monitor is a program that the repository names: reading starts none.
_OPTIONS = ("--no-pager", "-c", "core.fsmonitor=false", "-c", "color.ui=false", "-c", "log.showSignature=false", "-c", "diff.external=")


class GitFailed(ConfigError):
    """Git is not there, or refused; `said` is its own text, empty when it could not be asked."""

    def __init__(self, message: str, said: str = "") -> None:
        super().__init__(message)
        self.said = said


def environment(given: Mapping[str, str], *, index: bool) -> dict[str, str]:
    """Return the environment that git is asked in. `index` keeps the index of the commit under way, in its own hook."""
    kept = {name: value for name, value in given.items() if name not in _LOCAL and name not in _FORM}
    if index and "GIT_INDEX_FILE" in given:
        kept["GIT_INDEX_FILE"] = given["GIT_INDEX_FILE"]
    return kept | _SET


def ask(
    folder: Path, arguments: Sequence[str], *, given: bytes | None = None, env: Mapping[str, str] | None = None, index: bool = False
) -> bytes:
    """Return what `git ARGUMENTS` prints in a folder, `given` being its input.

    Raises:
        GitFailed: git is not installed, does not end, or refuses.
    """
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and every argument that comes from outside is checked or stands behind `--`
            ["git", *_OPTIONS, *arguments],  # noqa: S607 - git is found like any program of the user
            cwd=folder,
            input=given if given is not None else b"",
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            env=environment(os.environ if env is None else env, index=index),
        )
    except FileNotFoundError:
        raise GitFailed("git is not installed, or not on the PATH: install it to compare revisions") from None
    except (OSError, ValueError) as error:  # ValueError: NUL in an argument
        raise GitFailed(f"git cannot be started: {error}") from None
    except subprocess.TimeoutExpired:
        raise GitFailed(f"`git {arguments[0]}` gave no answer within {PATIENCE:.0f} s") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise GitFailed(f"`git {arguments[0]}` failed: {said or f'exit code {done.returncode}'}", said)
    return done.stdout
