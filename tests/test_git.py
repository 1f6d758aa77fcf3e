"""Real repositories in temporary folders; no network, and a configuration of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from committing import Tree, make_tree

from flowkit import compiler, project
from flowkit.errors import ConfigError
from flowkit.git import Commit, GitFailed, Repository, Revision, at, split
from flowkit.git import snapshot as snapshots

FLOW = "flowkit: 1\nsteps:\n  a:\n    model: openai/m\n    prompt: {text}\n"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return make_tree(tmp_path)


# -- finding ---------------------------------------------------------------------------------------------------


def test_no_repository_is_none_and_opening_says_why(tree: Tree, tmp_path: Path):
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    assert Repository.find(outside, tree.env) is None
    with pytest.raises(GitFailed, match="lies in no git repository: run `git init`"):
        Repository.open(outside, tree.env)


def test_without_git_there_is_no_repository(tree: Tree):
    env = tree.env | {"PATH": str(tree.root)}
    assert Repository.find(tree.root, env) is None
    with pytest.raises(GitFailed, match="git is not installed"):
        Repository.open(tree.root, env)


def test_a_file_that_is_not_there_yet_has_the_repository_of_its_folder(tree: Tree):
    found = Repository.find(tree.root / "new" / "x.flow.yaml", tree.env)
    assert found is not None
    assert found.root == tree.root.resolve()


def test_a_linked_working_tree_is_a_repository_with_its_own_root(tree: Tree, tmp_path: Path):
    tree.put("a.txt", "one")
    commit = tree.commit("one")
    tree.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    linked = Repository.open(tmp_path / "linked", tree.env)
    assert linked.root == (tmp_path / "linked").resolve()
    (linked.root / "a.txt").write_text("two")
    assert linked.revision([linked.root / "a.txt"]) == Revision(commit, dirty=True)
    assert tree.repository.revision([tree.root / "a.txt"]) == Revision(commit, dirty=False)


# -- revisions -------------------------------------------------------------------------------------------------


def test_a_revision_is_dirty_when_one_of_its_files_is_not_as_committed(tree: Tree):
    """Only the given files count: changed, staged, untracked, ignored, deleted or outside; others may be as they like."""
    for name in ("clean", "changed", "staged", "deleted"):
        tree.put(name, "one")
    tree.put(".gitignore", "ignored\nfolder/\n")
    commit = tree.commit("one")
    tree.put("changed", "two")
    tree.put("staged", "two")
    tree.git("add", "staged")
    tree.put("untracked", "x")
    tree.put("ignored", "x")
    tree.put("folder/x.flow.yaml", "x")
    (tree.root / "deleted").unlink()
    said = {
        path.name: tree.repository.revision([tree.root / "clean", path]).dirty
        for path in tree.root.iterdir()
        if path.name not in (".git", "folder")
    }
    assert said == {"clean": False, ".gitignore": False, "changed": True, "staged": True, "untracked": True, "ignored": True}
    assert tree.repository.revision([tree.root / "deleted"]).dirty
    assert tree.repository.revision([tree.root / "folder" / "x.flow.yaml"]).dirty
    assert tree.repository.revision([tree.root.parent / "outside"]) == Revision(commit, dirty=True)
    assert tree.repository.revision([]) == Revision(commit, dirty=False)


def test_before_the_first_commit_there_is_no_commit(tree: Tree):
    file = tree.put("a", "x")
    assert tree.repository.revision([file]) == Revision(None, dirty=True)
    with pytest.raises(ConfigError, match="'HEAD' is no revision"):
        tree.repository.resolve("HEAD")


@pytest.mark.parametrize("name", ["a b.yaml", "*.yaml", ":(top)x", "ü.yaml", 'q"q', "new\nline", "-x", "tab\there", "[a]"])
def test_odd_names_are_names(tree: Tree, name: str):
    """No pathspec, quoting or option is read into a name."""
    path = tree.put(name, "one")
    tree.put("plain.yaml", "one")
    commit = tree.commit("one")
    assert tree.repository.show(commit, name) == b"one"
    assert [entry.path for entry in tree.repository.list(commit, name)] == [name]
    assert not tree.repository.revision([path]).dirty
    tree.put("plain.yaml", "two")
    assert not tree.repository.revision([path]).dirty
    tree.put(name, "two")
    assert tree.repository.revision([path]).dirty
    assert [c.names for c in tree.repository.log([name])] == [{name: name}]


@pytest.mark.parametrize("revision", ["", "-h", "--all", "--output=x", "nosuch", "HEAD:a", "a\0b", "a\nb", "HEAD~9"])
def test_what_is_no_revision_is_refused(tree: Tree, revision: str):
    tree.put("a", "x")
    tree.commit("one")
    with pytest.raises(ConfigError, match=r"is no revision of the repository '.*work'"):
        tree.repository.resolve(revision)
    assert not (tree.root / "x").exists()


def test_revisions_have_full_ids_and_a_wrong_one_a_hint(tree: Tree):
    tree.put("a", "x")
    first = tree.commit("one")
    tree.git("tag", "-m", "v", "release-1")
    tree.commit("two")
    assert tree.repository.resolve("release-1") == tree.repository.resolve("HEAD~1") == tree.repository.resolve(first[:9]) == first
    with pytest.raises(ConfigError, match=r"did you mean 'release-1'\?"):
        tree.repository.resolve("relaese-1")


def test_a_shallow_clone_says_that_it_is_one(tree: Tree, tmp_path: Path):
    tree.commit("one")
    first = tree.git("rev-parse", "HEAD")
    tree.commit("two")
    tree.git("clone", "-q", "--depth=1", f"file://{tree.root}", str(tmp_path / "shallow"))
    with pytest.raises(ConfigError, match="git fetch --unshallow"):
        Repository.open(tmp_path / "shallow", tree.env).resolve(first)


# -- the environment ---------------------------------------------------------------------------------------------


def test_another_repository_in_the_environment_does_not_count(tree: Tree, tmp_path: Path):
    """A hook of one repository may run a flow of another."""
    tree.put("a", "x")
    commit = tree.commit("one")
    other = tmp_path / "other"
    other.mkdir()
    tree.git("init", "-q", str(other))
    env = tree.env | {"GIT_DIR": str(other / ".git"), "GIT_WORK_TREE": str(other), "GIT_INDEX_FILE": str(other / ".git" / "index")}
    env |= {"GIT_EXTERNAL_DIFF": "false", "GIT_PAGER": "false", "LANG": "de_DE.UTF-8"}
    assert Repository.open(tree.root, env).revision([tree.root / "a"]) == Revision(commit, dirty=False)


def test_in_a_hook_of_the_repository_its_index_counts(tree: Tree):
    """`git commit FILE` has an index of its own while its hooks run."""
    file = tree.put("a", "x")
    commit = tree.commit("one")
    tree.git("read-tree", "--empty", GIT_INDEX_FILE=str(tree.root / ".git" / "next"))
    env = tree.env | {"GIT_DIR": ".git", "GIT_INDEX_FILE": str(tree.root / ".git" / "next")}
    assert Repository.open(tree.root, env).revision([file]) == Revision(commit, dirty=True)
    assert tree.repository.revision([file]) == Revision(commit, dirty=False)


# -- files -----------------------------------------------------------------------------------------------------


def test_files_of_a_commit_are_read_without_a_checkout(tree: Tree):
    tree.put("flows/a.yaml", b"\x00one\n")
    tree.put("flows/deep/b.yaml", "two")
    tree.put("c.yaml", "")
    (tree.root / "link").symlink_to("c.yaml")
    commit = tree.commit("one")
    tree.put("flows/a.yaml", "changed")
    repository = tree.repository
    assert repository.show(commit, "flows/a.yaml") == b"\x00one\n"
    assert repository.show(commit, "c.yaml") == b""
    assert repository.show(commit, "link") is None
    assert repository.show(commit, "flows") is None
    assert repository.show(commit, "nosuch") is None
    assert [(e.path, e.size, e.regular) for e in repository.list(commit)] == [
        ("c.yaml", 0, True),
        ("flows/a.yaml", 5, True),
        ("flows/deep/b.yaml", 3, True),
        ("link", 6, False),
    ]
    assert [e.path for e in repository.list(commit, "flows")] == ["flows/a.yaml", "flows/deep/b.yaml"]
    assert repository.list(commit, "nosuch") == ()
    assert repository.contents(repository.list(commit, "flows")) == {"flows/a.yaml": b"\x00one\n", "flows/deep/b.yaml": b"two"}


def test_changes_are_told_between_commits_and_to_the_working_tree(tree: Tree):
    tree.put("a", "one\n" * 9)
    tree.put("x/b", "one")
    first = tree.commit("one")
    tree.git("mv", "a", "c")
    tree.put("x/b", "two")
    second = tree.commit("two")
    tree.put("c", "three")
    assert tree.repository.changed(first, second) == ("a", "c", "x/b")
    assert tree.repository.changed(first, second, "x") == ("x/b",)
    assert tree.repository.changed(second) == ("c",)
    assert tree.repository.renamed(first, second) == (("a", "c"),)


# -- history -----------------------------------------------------------------------------------------------------

LONG = "".join(f"line {n}\n" for n in range(30))


def test_history_follows_renames_and_names_every_file_in_every_commit(tree: Tree):
    tree.put("old.yaml", LONG)
    tree.put("part.md", "part one")
    first = tree.commit("begin")
    tree.put("other", "x")
    tree.commit("not ours")
    tree.put("part.md", "part two")
    second = tree.commit("change the part")
    (tree.root / "new").mkdir()
    tree.git("mv", "old.yaml", "new/flow.yaml")
    tree.put("new/flow.yaml", LONG + "more\n")
    third = tree.commit("move, and add a line")
    said = tree.repository.log(["new/flow.yaml", "part.md", "nosuch"])
    assert said == (
        Commit(third, "Ann", 1_700_000_240, "move, and add a line", {"new/flow.yaml": "new/flow.yaml", "part.md": "part.md"}),
        Commit(second, "Ann", 1_700_000_180, "change the part", {"new/flow.yaml": "old.yaml", "part.md": "part.md"}),
        Commit(first, "Ann", 1_700_000_060, "begin", {"new/flow.yaml": "old.yaml", "part.md": "part.md"}),
    )


def test_history_holds_both_sides_of_a_merge_and_what_the_merge_itself_changed(tree: Tree):
    tree.put("a", LONG)
    tree.commit("begin")
    tree.git("checkout", "-q", "-b", "side")
    tree.put("a", LONG.replace("line 3\n", "side\n"))
    tree.commit("side")
    tree.git("checkout", "-q", "main")
    tree.put("a", LONG.replace("line 3\n", "main\n"))
    tree.commit("main")
    with pytest.raises(subprocess.CalledProcessError):
        tree.git("merge", "-q", "side")
    tree.put("a", LONG.replace("line 3\n", "both\n"))
    tree.commit("merge")
    subjects = [commit.subject for commit in tree.repository.log(["a"])]
    assert (subjects[0], set(subjects[1:3]), subjects[3:]) == ("merge", {"main", "side"}, ["begin"])


def test_a_file_is_found_under_its_earlier_name(tree: Tree):
    tree.put("a.yaml", LONG)
    first = tree.commit("one")
    tree.git("mv", "a.yaml", "b.yaml")
    second = tree.commit("two")
    tree.put("b.yaml", "all else\n")
    tree.commit("three")
    tree.git("mv", "b.yaml", "c.yaml")
    assert tree.repository.name_at(first, "b.yaml") == "a.yaml"
    assert tree.repository.name_at(second, "b.yaml") == "b.yaml"
    assert tree.repository.name_at("HEAD", "c.yaml") == "b.yaml"
    assert tree.repository.name_at(first, "nosuch.yaml") is None


# -- a flow as it was ----------------------------------------------------------------------------------------------


def compiled(snapshot) -> compiler.Checked:
    return compiler.check(snapshot.path, cwd=snapshot.top, found=snapshot.project)


@pytest.mark.parametrize(
    ("text", "path", "revision"),
    [
        ("a.flow.yaml", "a.flow.yaml", None),
        ("a.flow.yaml@HEAD~1", "a.flow.yaml", "HEAD~1"),
        ("a@b/x.yml@HEAD@{1}", "a@b/x.yml", "HEAD@{1}"),
        ("a.flow.yaml@", "a.flow.yaml@", None),
        ("data@2.jsonl", "data@2.jsonl", None),
    ],
)
def test_a_revision_stands_behind_the_name_of_a_flow(text: str, path: str, revision: str | None):
    assert split(text) == (path, revision)


def test_a_flow_comes_with_includes_sub_flows_types_configuration_and_functions(tree: Tree):
    """All that a flow names is taken from the revision, though the working tree holds others, or nothing at all."""
    tree.put("flows/flowkit.toml", '[models]\nfast = "openai/old"\n')
    tree.put(
        "flows/main.flow.yaml",
        FLOW.format(text="\"{% include '../flows/say.md' %}\"") + "  b: {uses: sub/s.flow.yaml}\n  c: {call: 'tools:f'}\n",
    )
    tree.put("flows/say.md", "old words")
    tree.put("flows/sub/s.flow.yaml", "flowkit: 1\ntypes: {T: t.types.yaml#T}\nsteps:\n  x: {model: fast, prompt: hi, output: T}\n")
    tree.put("flows/sub/t.types.yaml", "T: {old: string}\n")
    tree.put("flows/tools.py", "import words\ndef f() -> str:\n    return words.WORD\n")
    tree.put("flows/words.py", "WORD = 'old'\n")
    tree.put("elsewhere.bin", "x")
    tree.commit("one")
    for name in ("say.md", "sub/s.flow.yaml", "sub/t.types.yaml", "tools.py"):
        (tree.root / "flows" / name).unlink()
    tree.put("flows/words.py", "WORD = 'new'\n")
    sys.path.insert(0, str(tree.root / "flows"))
    try:
        import words  # of the working tree, as a flow of it would have imported it

        with at(tree.repository, "HEAD", tree.root / "flows" / "main.flow.yaml") as snapshot:
            plan = compiled(snapshot).valid()
            assert plan.steps["a"].work.messages[0].text.render({}) == "old words"
            assert plan.steps["b"].work.plan.steps["x"].type.names() == ["old"]
            assert plan.steps["c"].work.function() == "old"
            assert snapshot.project == project.find(snapshot.path)
            assert snapshot.project.config == snapshot.top / "flows" / "flowkit.toml"
            assert not (snapshot.top / "elsewhere.bin").exists()
            top = snapshot.top
        assert sys.modules["words"] is words
        assert words.WORD == "new"
    finally:
        sys.path.remove(str(tree.root / "flows"))
        sys.modules.pop("words", None)
    assert not top.exists()


def test_two_revisions_are_open_at_once(tree: Tree):
    """Each has its own modules, though they have the same names."""
    flow = tree.put("a.flow.yaml", "flowkit: 1\nsteps:\n  c: {call: 'tools:f'}\n")
    tree.put("tools.py", "import words_of_two\ndef f() -> int:\n    return words_of_two.WORD\n")
    for number in (1, 2):
        tree.put("words_of_two.py", f"WORD = {number}\n")
        tree.commit(str(number))
    with at(tree.repository, "HEAD~1", flow) as one:
        first = compiled(one).valid()
        with at(tree.repository, "HEAD", flow) as two:
            assert compiled(two).valid().steps["c"].work.function() == 2
        assert first.steps["c"].work.function() == 1
        assert sys.modules["words_of_two"].WORD == 1
    assert "words_of_two" not in sys.modules


def test_without_configuration_the_top_of_the_repository_is_the_root(tree: Tree):
    tree.put("deep/x/a.flow.yaml", FLOW.format(text="\"{% include '../../say.md' %}\""))
    tree.put("say.md", "words")
    tree.put(".hidden/b.flow.yaml", FLOW.format(text="hi"))
    tree.put(".hidden/flowkit.toml", "")
    tree.commit("one")
    with at(tree.repository, "HEAD", tree.root / "deep/x/a.flow.yaml") as snapshot:
        assert compiled(snapshot).problems == ()
        assert snapshot.project.root == snapshot.top
    with at(tree.repository, "HEAD", tree.root / ".hidden/b.flow.yaml") as snapshot:
        assert compiled(snapshot).problems == ()
        assert snapshot.project.root == snapshot.top / ".hidden"


def test_a_flow_is_found_under_the_name_that_it_had(tree: Tree):
    tree.put("old.flow.yaml", FLOW.format(text="hello there, how are you"))
    first = tree.commit("one")
    tree.git("mv", "old.flow.yaml", "new.flow.yaml")
    tree.commit("two")
    with at(tree.repository, first, tree.root / "new.flow.yaml") as snapshot:
        assert snapshot.name == "old.flow.yaml"
        assert compiled(snapshot).valid().shown == "old.flow.yaml"
        assert snapshot.shown("old.flow.yaml") == snapshot.shown(str(snapshot.path)) == f"old.flow.yaml@{first}"
    with at(tree.repository, first, tree.root / "any.flow.yaml", name="old.flow.yaml") as snapshot:
        assert snapshot.path.is_file()
    with pytest.raises(ConfigError, match=r"has no 'never.flow.yaml'"), at(tree.repository, first, tree.root / "never.flow.yaml"):
        pass


def test_problems_of_a_revision_name_it(tree: Tree):
    tree.put("a.flow.yaml", "flowkit: 1\nsteps:\n  a: {model: openai/m, prompt: '{{ inputs.x }}'}\n")
    tree.commit("one")
    with at(tree.repository, "main", tree.root / "a.flow.yaml") as snapshot:
        assert [p.place.path for p in snapshot.problems(compiled(snapshot).problems)] == ["a.flow.yaml@main"]


def test_links_are_left_out_and_told(tree: Tree, tmp_path: Path):
    """A link could lead out of the layout."""
    (tmp_path / "secret").write_text("s")
    tree.put("a.flow.yaml", FLOW.format(text="\"{% include 'link.md' %}\""))
    (tree.root / "link.md").symlink_to(tmp_path / "secret")
    tree.commit("one")
    with at(tree.repository, "HEAD", tree.root / "a.flow.yaml") as snapshot:
        assert snapshot.left_out == ("link.md",)
        assert [p.code for p in compiled(snapshot).errors] == ["file-not-found"]


def test_a_large_project_is_laid_out_from_the_flow_outwards(tree: Tree):
    """What is near comes first, and small files before large ones."""
    tree.put("x/y/a.flow.yaml", FLOW.format(text="hi"))
    for name, size in (("x/y/near", 4000), ("x/y/nearer", 10), ("x/mid", 3000), ("far", 1)):
        tree.put(name, "x" * size)
    commit = tree.commit("one")
    taken = snapshots._nearest(tree.repository.list(commit), "x/y/a.flow.yaml")
    assert [entry.path for entry in taken] == ["x/y/nearer", "x/y/a.flow.yaml", "x/y/near", "x/mid", "far"]


@pytest.mark.parametrize("path", ["../x", ".git/config", "a/../../x", "a//b", "./a"])
def test_a_hostile_tree_writes_nowhere_else(path: str):
    """Such trees can be made by hand."""
    assert not snapshots._sound(snapshots.Entry(path, "0", 1, regular=True))
