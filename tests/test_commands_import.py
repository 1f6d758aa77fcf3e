"""`flowkit import` writes what can be converted, says what cannot, and writes over nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flowkit.commands.import_ import command
from flowkit.errors import ConfigError, FlowkitError

CORPUS = Path(__file__).parent / "corpus" / "imports"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(CORPUS / "promptflow", tmp_path / "theirs")
    shutil.copytree(CORPUS / "prompty", tmp_path / "prompty")
    shutil.copytree(CORPUS / "prompt_yml", tmp_path / "prompt_yml")
    (tmp_path / "unclosed.prompty").write_text("---\nname: lamp\nSay hello.\n")
    monkeypatch.chdir(tmp_path)


def called(*args: str) -> Result:
    return CliRunner().invoke(command, args, standalone_mode=False)


def test_all_converted_is_zero() -> None:
    done = called("prompty", "prompty/old.prompty")
    assert done.return_value == 0
    assert Path("lamp_advice/lamp_advice.flow.yaml").is_file()
    assert done.stdout == ""
    assert "finds nothing" in done.stderr


def test_something_left_out_is_one_and_stands_with_its_line() -> None:
    done = called("promptflow", "theirs/orders", "-o", "ours")
    assert done.return_value == 1
    assert "theirs/orders/flow.dag.yaml:85: node 'look_up'" in done.stderr
    assert "→ write the function in left_out.py" in done.stderr
    assert "max-age → max_age" in done.stderr


def test_the_file_itself_is_its_folder() -> None:
    assert called("promptflow", "theirs/orders/flow.dag.yaml", "-o", "ours").return_value == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("promptflow", "nowhere"), "there is no nowhere"),
        (("promptflow", "prompty"), "there is no flow.dag.yaml here; for a .prompty file: flowkit import prompty prompty/new.prompty"),
        (("promptflow", "prompty/old.prompty"), "a folder with flow.dag.yaml; for this file: flowkit import prompty prompty/old.prompty"),
        (("promptflow", "prompt_yml/rows.prompt.yml"), "for this file: flowkit import prompt-yml prompt_yml/rows.prompt.yml"),
        (("promptflow", "prompty/tools.json"), "name a folder with flow.dag.yaml$"),
        (("prompty", "prompty/tools.json"), "is no .prompty file: such a one begins with `---`"),
        (("prompty", "unclosed.prompty"), "the second `---`, between the head and the prompt, is missing"),
        (("prompty", "theirs"), "is a folder"),
        (("prompt-yml", "prompty/old.prompty"), "old.prompty"),
        (("prompt-yml", "theirs/orders/flow.dag.yaml"), "there are no `messages`"),
    ],
)
def test_nothing_to_read_is_two(args: tuple[str, ...], said: str) -> None:
    with pytest.raises(FlowkitError, match=said) as failed:
        _raise(called(*args))
    assert failed.value.exit_code == 2


def _raise(done: Result) -> None:
    assert done.exception is not None
    raise done.exception


def test_nothing_is_written_over_unless_forced() -> None:
    called("prompty", "prompty/old.prompty", "-o", "ours")
    flow = Path("ours/lamp_advice.flow.yaml")
    flow.write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        _raise(called("prompty", "prompty/old.prompty", "-o", "ours"))
    assert flow.read_text() == "mine"
    assert called("prompty", "prompty/old.prompty", "-o", "ours", "--force").return_value == 0
    assert flow.read_text() != "mine"


def test_a_file_in_the_way_keeps_all_others_from_being_written() -> None:
    Path("ours").mkdir()
    Path("ours/shelf.py").write_text("mine")
    with pytest.raises(ConfigError, match=r"shelf\.py"):
        _raise(called("promptflow", "theirs/orders", "-o", "ours"))
    assert [path.name for path in Path("ours").iterdir()] == ["shelf.py"]


def test_json_says_the_same() -> None:
    done = called("promptflow", "theirs/orders", "-o", "ours", "--json")
    told = json.loads(done.stdout)
    assert told["schema"] == 1
    assert told["flow"] == "ours/order_desk.flow.yaml"
    assert all(Path(name).is_file() for name in told["files"])
    assert {"path": "theirs/orders/flow.dag.yaml", "line": 137, "what": "key 'colour'", "way": "flowkit knows no such thing"} in told[
        "left"
    ]
    assert told["renamed"] == {"max-age": "max_age"}
    assert [problem["severity"] for problem in told["problems"]] == ["warning"]


def test_what_was_imported_runs() -> None:
    """A flow with copied Python, a condition, typed answers and a text of its own runs to its end, but for what was left out."""
    called("promptflow", "theirs/orders", "-o", "ours")
    flow = Path("ours/order_desk.flow.yaml")
    flow.write_text(
        flow.read_text()
        .replace("    call: left_out:look_up\n    with:\n      query: inputs.letter", "    set: inputs.letter")
        .replace("    call: left_out:count\n    with:\n      letter: inputs.letter", "    set: 1")
    )
    replies = Path("replies.yaml")
    replies.write_text("sort: parcel\nfeel: {mood: glad}\n")
    line = [sys.executable, "-m", "flowkit", "run", str(flow), "--simulate", str(replies), "--json"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout)["outputs"]
    assert outputs["kind"] == "parcel"
    assert outputs["reply"] == '["third", 7] We answer within 30 days. glad'
    assert outputs["mood"] == "glad"
