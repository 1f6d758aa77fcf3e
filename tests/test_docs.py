"""The docs say what is so: their code runs, their flows pass the check, their commands work, their links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from docs_pages import DOCS, PAGES
from sybil import Document
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

from flowkit import compiler, config
from flowkit.codes import Example
from flowkit.config.ready import READY
from flowkit.config.settings import DIALECT_KEYS, MODEL_KEYS
from flowkit.console import problems
from flowkit.keys import TABLES
from flowkit.main import cli
from flowkit.project import Project
from flowkit.templates.filters import FILTERS, TESTS
from flowkit.templates.sandbox import TEXT_METHODS

ROOT = DOCS.parent
#: Pages with code. `errors.md` is generated and held by test_codes: half of its flows are wrong on purpose.
CODE = [
    page
    for page in [*sorted(DOCS.glob("*.md")), ROOT / "README.md", *sorted((ROOT / "flows").rglob("*.md"))]
    if page.exists() and page.name != "errors.md"
]
#: What a line of shell does before it calls what was installed; here that is this checkout.
INSTALLING = re.compile(r"^python3 -m venv \S+ && \S+/pip install -q -e \S+ && \S+/bin/", re.MULTILINE)
#: Lines of shell that are not run here, each with its reason.
NOT_RUN = {"python -m pytest -q -n auto --cov --cov-report=term:skip-covered": "these tests themselves"}
#: Pages whose blocks work in a repository, in which the flows are committed.
COMMITTED = {"reviewing.md", "from-code-to-git.md", "comparing-tests.md"}
#: What examples of the docs name beside the flow.
FILES = {
    "editorial.types.yaml": "Critique: {score: integer(1..10)}\n",
    "place.schema.json": '{"type": "object", "properties": {"town": {"type": "string"}}}',
    "shop/__init__.py": "def find_order(order: str) -> str:\n    return order\n",
    "search.flow.yaml": "flowkit: 1\ninputs: {query: string}\nsteps: {found: {set: inputs.query}}\n",
    "shop/models.py": "from dataclasses import dataclass\n\n\n@dataclass\nclass Order:\n    id: str\n",
}


def blocks(language: str) -> list[tuple[str, Path, int, str]]:
    """Every block of a language, with a name for the test."""
    found = []
    for page in CODE:
        document = Document.parse(str(page), CodeBlockParser(language=language, evaluator=lambda _: None))
        for example in document.examples():
            lines = str(example.parsed)
            found.append((f"{page.relative_to(ROOT)}:{example.line}", page, example.line, lines))
    return found


def cases(language: str) -> list:
    return [pytest.param(page, text, id=name) for name, page, _, text in blocks(language)]


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the flows, as in a clone, with nothing of this machine's environment."""
    shutil.copytree(ROOT / "flows", tmp_path / "flows")
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "AZURE_OPENAI", "FLOWKIT"))]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.mark.parametrize("page", CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_runs(page: Path, copy: Path) -> None:
    """The blocks of a page run in their order, in one namespace."""
    document = Document.parse(str(page), PythonCodeBlockParser())
    for example in document.examples():
        example.evaluate()


@pytest.mark.parametrize(("page", "text"), cases("yaml"))
def test_yaml_passes_the_check(page: Path, text: str, tmp_path: Path) -> None:
    """A whole flow has no problem at all; a part of one, completed by what it lacks, has no error but for names that stand elsewhere."""
    whole = "flowkit: 1" in text
    top = set(re.findall(r"^([\w-]+):", text, re.MULTILINE))
    if not top <= set(TABLES["flow"].names()):
        text = "steps:\n  reply:\n    call: builtins:dict\n" + "".join(f"    {line}\n" for line in text.splitlines())
    for name, held in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(held)
    flow = tmp_path / "page.flow.yaml"
    flow.write_bytes(Example(text).whole())
    project = Project(tmp_path)
    found = compiler.check(flow, cwd=tmp_path, models=config.load(project, {}), found=project).problems
    wrong = [p for p in found if whole or (p.severity == "error" and p.code != "unknown-step")]
    assert not wrong, "\n".join(f"{p.code} {p.place.line}: {p.message}" for p in wrong)


@pytest.mark.parametrize(("page", "text"), cases("toml"))
def test_configuration_loads(page: Path, text: str, tmp_path: Path) -> None:
    file = tmp_path / "flowkit.toml"
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "company.pem").write_text("")
    file.write_text(text)
    assert config.load(Project(tmp_path, file), {}).file


@pytest.mark.parametrize(("page", "text"), cases("sh"))
def test_commands_work(page: Path, text: str, copy: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every shell block is run as it stands, `flowkit` being this checkout; but for lines that are listed with the reason why not."""
    text = "\n".join(line for line in INSTALLING.sub("", text).splitlines() if line not in NOT_RUN)
    run_block(text, tmp_path_factory, committed=page.name in COMMITTED)


def test_what_the_page_on_reviewing_shows_is_what_is_printed(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """But for the digits of commits and fingerprints."""
    page = (DOCS / "reviewing.md").read_text(encoding="utf-8")
    ((block, shown),) = re.findall(r"```sh\n([^`]*)```\n\n```text\n([^`]*)```", page)
    printed = run_block(block, tmp_path_factory, committed=True)
    assert re.sub(r"\b[0-9a-f]{10,16}\b", "…", printed) == re.sub(r"\b[0-9a-f]{10,16}\b", "…", shown)


def run_block(text: str, tmp_path_factory: pytest.TempPathFactory, *, committed: bool) -> str:
    """Run a block of shell in this folder, `committed` if need be, and return what it prints."""
    bin_ = tmp_path_factory.mktemp("bin")
    command = bin_ / "flowkit"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m flowkit "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IEXEC)
    env = {**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    if committed:
        who = {"GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.org", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        env |= who | {name.replace("AUTHOR", "COMMITTER"): value for name, value in who.items()}
        subprocess.run(["bash", "-euc", "git init -q -b main && git add . && git commit -qm Begin"], env=env, check=True)
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", [*CODE, DOCS / "errors.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), target


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_in_step(name: str) -> None:
    """`python tests/docs_pages.py` would change nothing."""
    page = (DOCS / name).read_text(encoding="utf-8")
    assert PAGES[name](page) == page


def test_the_index_has_every_page() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", index)) == {page.name for page in DOCS.glob("*.md")} - {"index.md"}


def test_the_list_of_filters_and_tests_is_whole() -> None:
    page = (DOCS / "expressions.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (lists|text|numbers|any|tests) \| (.+) \|$", page, re.MULTILINE))
    named = {kind: set(re.findall(r"`(\w+)`", row)) for kind, row in rows.items()}
    filters = set().union(*(words for kind, words in named.items() if kind != "tests"))
    assert filters == set(FILTERS) - ALIASES
    assert named["tests"] == {name for name in TESTS if name.isalpha()} - TEST_ALIASES


#: Other names of filters and tests that the page names once.
ALIASES = {"d", "e", "forceescape", "safe"}
TEST_ALIASES = {"equalto", "greaterthan", "lessthan"}


def narrowing() -> list[str]:
    page = (DOCS / "expressions.md").read_text(encoding="utf-8")
    block = page.partition("knows that the value is there:")[2].partition("```text\n")[2].partition("```")[0]
    return [line for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("line", narrowing())
def test_each_form_handles_an_absent_value(line: str, tmp_path: Path) -> None:
    line = line.partition(" #")[0].strip()
    key = (
        f"    {line}\n    prompt: '{{{{ steps.extra.output.text }}}}'\n"
        if line.startswith(("when", "on_skip"))
        else f"    prompt: |\n      {line}\n"
    )
    text = f"inputs: {{deep: boolean}}\nsteps:\n  main:\n    prompt: Hello.\n  extra:\n    when: inputs.deep\n    prompt: Hello.\n    output: {{text: string}}\n  reply:\n{key}"
    flow = tmp_path / "page.flow.yaml"
    flow.write_bytes(Example(text).whole())
    found = compiler.check(flow, cwd=tmp_path, found=Project(tmp_path)).problems
    assert not found, found


def code_words(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", text))


def test_the_list_of_methods_is_whole() -> None:
    page = (DOCS / "expressions.md").read_text(encoding="utf-8")
    listed = page.partition("A text has the methods ")[2].partition(", a list")[0]
    assert code_words(listed) == TEXT_METHODS | {"replace"}


def test_the_ready_providers_are_those_of_the_page() -> None:
    page = (DOCS / "models.md").read_text(encoding="utf-8").partition("## Ready providers")[2].partition("\n## ")[0]
    rows = {name: row for row in re.findall(r"^\| `.*$", page, re.MULTILINE) for name in code_words(row.split("|")[1])}
    assert set(rows) == set(READY)
    for name, settings in READY.items():
        assert all(f"`{variable}`" in rows[name] for variable in settings.api_key_env), name
        if settings.base_url and name != "gemini":
            assert f"`{settings.base_url}`" in rows[name], name


def test_the_settings_of_models_are_those_of_the_page() -> None:
    page = (DOCS / "models.md").read_text(encoding="utf-8").partition("## Settings")[2].partition("```")[0]
    named = {name for row in re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) for name in [row]}
    assert named == set(MODEL_KEYS) - {"model"}
    assert set(DIALECT_KEYS) <= code_words(page)


def rows(page: str, heading: str) -> dict[str, set[str]]:
    """The first table behind a heading: the words of its first cells to those of its second."""
    table = (DOCS / page).read_text(encoding="utf-8").partition(heading)[2].partition("|---|---|\n")[2].partition("\n\n")[0]
    cells = [re.split(r"(?<!\\)\|", line)[1:3] for line in table.splitlines()]
    return {name: code_words(held) for names, held in cells for name in code_words(names)}


def run_judge(*options: str, replies: str) -> list[dict[str, Any]]:
    return run_flow("flows/judge/judge.flow.yaml", "--inputs", "flows/judge/inputs.json", *options, replies=replies)


def run_flow(flow: str, *options: str, replies: str) -> list[dict[str, Any]]:
    said = Path("said.yaml")
    said.write_text(replies, encoding="utf-8")
    line = ["run", flow, "--simulate", str(said), "-q", *options]
    return [json.loads(each) for each in CliRunner().invoke(cli, line).stdout.replace("\n  ", "").replace("\n}", "}").splitlines()]


REPLIES = 'rate:\n  - match: clear\n    error: {status: 500}\n  - {reply: \'Here: {"reason": "r", "score": 2}\'}\n'


def test_what_json_prints_is_what_the_page_says(copy: Path) -> None:
    [found] = run_judge("--json", replies="{}")
    table = rows("commands.md", "--json` prints one object")
    assert set(found) == set(table)
    assert set(found["steps"]["rate"]) == table["steps"]
    assert set(found["usage"]) == table["usage"]


def test_what_events_print_is_what_the_page_says(copy: Path) -> None:
    table = rows("commands.md", "--events` prints one object")
    found = [*run_judge("--events", replies="{}"), *run_judge("--events", "--stream", replies=REPLIES)]
    Path("tool.flow.yaml").write_text("flowkit: 1\nsteps: {a: {prompt: a, model: openai/m, tools: ['shop:find']}}\n", encoding="utf-8")
    Path("shop.py").write_text("def find(order: str) -> str: return order\n", encoding="utf-8")
    found += run_flow("tool.flow.yaml", "--events", replies="a: [{tool_calls: [{find: {order: A}}]}, {reply: done}]")
    seen = {each["event"]: set(each) - {"event", "at"} for each in found}
    assert seen == table


def test_the_mistake_in_the_readme_is_printed_as_shown(tmp_path: Path) -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    flow, shown = (page.partition(mark)[2].partition("```")[0] for mark in ("```yaml\n", "```text\nrelease.flow.yaml"))
    file = tmp_path / "release.flow.yaml"
    file.write_text(flow.replace("- {{ c.title }}", "- {{ c.titel }}"), encoding="utf-8")
    found = compiler.check(file, cwd=tmp_path, found=Project(tmp_path)).problems
    assert problems.text(found, files=1).rpartition("\n1 error")[0] == f"release.flow.yaml{shown.rstrip()}"
