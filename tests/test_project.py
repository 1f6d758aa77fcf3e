"""Which folder is the project, and what may be read in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowkit.errors import FlowkitError
from flowkit.project import PathRefused, Project, find, read_bytes, read_text, resolve, shown


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a flow in a folder of its own, and a secret outside of it."""
    project = (tmp_path / "project").resolve()
    (project / "flows" / "parts").mkdir(parents=True)
    (project / "flowkit.toml").write_text("")
    (project / "flows" / "a.flow.yaml").write_text("flowkit: 1\n")
    (project / "flows" / "parts" / "style.md").write_text("Be short.\n")
    (project / "README.md").write_text("read me\n")
    (tmp_path / "secret.txt").write_text("secret\n")
    return project


def refused(name: str, root: Path) -> PathRefused:
    with pytest.raises(PathRefused) as caught:
        resolve(name, beside=root / "flows" / "a.flow.yaml", root=root)
    return caught.value


# -- find --------------------------------------------------------------------------------------------------


def test_nearest_flowkit_toml_upwards_marks_the_root(root: Path) -> None:
    (root.parent / "flowkit.toml").write_text("")
    assert find(root / "flows" / "a.flow.yaml") == Project(root, root / "flowkit.toml")
    assert find(root / "flows") == Project(root, root / "flowkit.toml")


def test_pyproject_counts_only_with_our_table(root: Path) -> None:
    (root / "flows" / "pyproject.toml").write_text("[tool.other]\nname = 'flowkit'\n")
    assert find(root / "flows" / "a.flow.yaml").root == root
    (root / "flows" / "pyproject.toml").write_text("[tool.flowkit]\n")
    assert find(root / "flows" / "a.flow.yaml") == Project(root / "flows", root / "flows" / "pyproject.toml")


@pytest.mark.parametrize("broken", [b"[tool.flowkit", b"# flowkit \xff", b"tool = 'flowkit'"])
def test_a_pyproject_that_is_broken_or_odd_is_passed_over(root: Path, broken: bytes) -> None:
    (root / "flows" / "pyproject.toml").write_bytes(broken)
    assert find(root / "flows" / "a.flow.yaml").root == root


def test_flowkit_toml_wins_over_pyproject_of_the_same_folder(root: Path) -> None:
    (root / "pyproject.toml").write_text("[tool.flowkit]\n")
    assert find(root / "flows" / "a.flow.yaml").config == root / "flowkit.toml"


@pytest.mark.parametrize("worktree", [False, True])
def test_without_configuration_the_git_root_is_the_root(root: Path, worktree: bool) -> None:
    (root / "flowkit.toml").unlink()
    if worktree:
        (root / ".git").write_text("gitdir: elsewhere\n")
    else:
        (root / ".git").mkdir()
    assert find(root / "flows" / "a.flow.yaml") == Project(root, None)


def test_alone_a_file_has_its_folder_as_root(root: Path) -> None:
    (root / "flowkit.toml").unlink()
    assert find(root / "flows" / "a.flow.yaml") == Project(root / "flows", None)


def test_the_root_is_resolved(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    assert find(link / "flows" / "a.flow.yaml").root == root


# -- resolve -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "target"),
    [("parts/style.md", "flows/parts/style.md"), ("../README.md", "README.md"), ("./parts/../a.flow.yaml", "flows/a.flow.yaml")],
)
def test_names_are_relative_to_the_file_that_names_them(root: Path, name: str, target: str) -> None:
    assert resolve(name, beside=root / "flows" / "a.flow.yaml", root=root) == root / target


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../../secret.txt", "escape"),
        ("../../../../../../../../etc/passwd", "escape"),
        ("/etc/passwd", "escape"),
        ("~/x", "escape"),
        ("\\\\server\\share", "escape"),
        ("parts/../../../secret.txt", "escape"),
        ("..", "not-a-file"),
        ("../..", "escape"),
        ("parts", "not-a-file"),
        (".", "not-a-file"),
        ("gone.md", "missing"),
        ("a.flow.yaml/x", "missing"),
        ("", "bad-path"),
        ("a\0b", "bad-path"),
        ("x" * 300, "unreadable"),
    ],
)
def test_what_is_no_file_below_the_root_is_refused(root: Path, name: str, reason: str) -> None:
    error = refused(name, root)
    assert error.reason == reason
    assert isinstance(error, FlowkitError)
    assert error.exit_code == 2
    assert "secret\n" not in str(error)


def test_a_symlink_is_judged_by_where_it_leads(root: Path) -> None:
    (root / "flows" / "out").symlink_to(root.parent / "secret.txt")
    (root / "flows" / "within").symlink_to(root / "README.md")
    (root / "flows" / "folder").symlink_to(root.parent)
    (root / "flows" / "loop").symlink_to(root / "flows" / "loop")
    assert refused("out", root).reason == "escape"
    assert refused("folder/secret.txt", root).reason == "escape"
    assert refused("loop", root).reason == "unreadable"
    assert resolve("within", beside=root / "flows" / "a.flow.yaml", root=root) == root / "README.md"


def test_a_folder_whose_name_begins_like_the_root_lies_outside(root: Path) -> None:
    other = root.parent / "project-b"
    other.mkdir()
    (other / "x.md").write_text("")
    assert refused("../../project-b/x.md", root).reason == "escape"


def test_a_missing_file_names_the_nearest(root: Path) -> None:
    assert "style.md" in str(refused("parts/stile.md", root).hint)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_neither_resolved_nor_waited_for(root: Path) -> None:
    os.mkfifo(root / "flows" / "pipe")
    assert refused("pipe", root).reason == "not-a-file"
    with pytest.raises(PathRefused) as caught:
        read_bytes(root / "flows" / "pipe")
    assert caught.value.reason == "not-a-file"


# -- reading -----------------------------------------------------------------------------------------------


def test_a_file_is_read_up_to_the_limit(root: Path) -> None:
    file = root / "data"
    file.write_bytes(b"x" * 10)
    assert read_bytes(file, 10) == b"x" * 10
    with pytest.raises(PathRefused, match="more than 9 bytes") as caught:
        read_bytes(file, 9)
    assert caught.value.reason == "too-large"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device here")
def test_a_device_without_end_is_not_read() -> None:
    with pytest.raises(PathRefused) as caught:
        read_bytes(Path("/dev/zero"))
    assert caught.value.reason == "not-a-file"


@pytest.mark.parametrize(
    ("name", "reason"), [("gone", "missing"), ("README.md/x", "missing"), ("flows", "not-a-file"), ("a\0b", "unreadable")]
)
def test_what_cannot_be_read_is_refused_with_its_name(root: Path, name: str, reason: str) -> None:
    with pytest.raises(PathRefused) as caught:
        read_bytes(root / name)
    assert caught.value.reason == reason
    assert repr(Path(name).name) in str(caught.value)


def test_text_is_utf8_without_mark_and_with_plain_line_feeds(root: Path) -> None:
    file = root / "t.md"
    file.write_bytes(b"\xef\xbb\xbfa\r\n\xc3\xa9\rb\n")
    assert read_text(file) == "a\né\nb\n"


def test_text_that_is_not_utf8_names_the_line(root: Path) -> None:
    file = root / "t.md"
    file.write_bytes(b"a\nb\ncaf\xe9\n")
    with pytest.raises(PathRefused, match="line 3") as caught:
        read_text(file)
    assert caught.value.reason == "not-utf8"
    assert "UTF-8" in str(caught.value.hint)


def test_shown_paths_are_relative_only_below_the_working_folder() -> None:
    assert shown(Path("/a/b/c.yaml"), Path("/a")) == "b/c.yaml"
    assert shown(Path("/a/b/c.yaml"), Path("/a/x")) == "/a/b/c.yaml"
