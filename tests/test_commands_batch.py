"""`flowkit batch`: rows in, lines out, an end that is told, and the same command that goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_line import environment
from counting_server import CountingServer
from test_commands_signals import held, read_until

from flowkit.batch import Pulse, Tally
from flowkit.budget import Limits
from flowkit.chat import Attempt, Usage
from flowkit.commands.batch import Job, command
from flowkit.commands.keeping import Keeping
from flowkit.commands.opening import Opening
from flowkit.console.batch_board import Board
from flowkit.console.batch_plain import PlainBatch
from flowkit.errors import ConfigError, InputError
from flowkit.events import AttemptFailed, ItemFinished, StepFinished
from flowkit.results import Status
from flowkit.store.looking import Looking
from flowkit.store.sqlite import FILE

FLOW = """\
flowkit: 1
name: say
inputs:
  word: string
  times: {type: integer(1..9), default: 1}
  loud: {type: boolean, default: false}
  tags?: list(string)
  size?: number
defaults: {model: openai/m}
steps:
  say: {prompt: "Say {{ inputs.word }} {{ inputs.times }} {{ inputs.loud }} {{ inputs.tags or [] }} {{ inputs.size or 0 }}"}
outputs: {said: steps.say.output}
"""
REPLIES = "say:\n  - {match: bad, error: {status: 400, message: not this word}}\n  - {match: '/\\[.a., .b.\\] 1.5/', reply: with tags}\n  - {match: 'w2 3 true', reply: loud}\n  - {reply: plain}\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("OPENAI", "FLOWKIT"))]:
        monkeypatch.delenv(name)
    (tmp_path / "flowkit.toml").touch()
    (tmp_path / "say.flow.yaml").write_text(FLOW)
    (tmp_path / "replies.yaml").write_text(REPLIES)
    return tmp_path


def cli(*args, stdin=None):
    return CliRunner().invoke(command, ["say.flow.yaml", *args], input=stdin, catch_exceptions=False, standalone_mode=False)


def jsonl(path, *rows):
    Path(path).write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))


def out(path="out.jsonl"):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def batches():
    """What the record says of batches, the newest first."""
    if not (Path(".flowkit") / FILE).exists():
        return []
    with Looking(Path(".flowkit")) as record:
        return record.batches()


def job(
    data="d.jsonl",
    *,
    flow="say.flow.yaml",
    simulate="replies.yaml",
    output="out.jsonl",
    keeping=Keeping(),
    model=(),
    fixed=(),
    settings=(),
    seed="",
    **more,
):
    return Job(Opening(flow, model=model, input=fixed, settings=settings, seed=seed), keeping, data, simulate, output=output, **more).run()


# -- rows and lines ------------------------------------------------------------------------------------------


def test_a_line_for_each_row_in_order(folder):
    jsonl("d.jsonl", {"word": "w1"}, {"word": "w2", "times": 3, "loud": True, "extra": 1}, "\n", "nope\n", {"word": "bad"}, {"word": 5})
    done = cli("d.jsonl", "--simulate", "replies.yaml")
    assert done.return_value == 1
    lines = done.stdout.splitlines()
    assert lines[0] == '{"row": 1, "status": "succeeded", "outputs": {"said": "plain"}}'
    assert json.loads(lines[1])["outputs"] == {"said": "loud"}
    assert (
        lines[2]
        == '{"row": 3, "status": "failed", "error": {"kind": "input", "message": "not JSON: Expecting value, column 1", "place": "d.jsonl:4"}}'
    )
    failed = json.loads(lines[3])["error"]
    assert (failed["kind"], failed["step"], failed["place"]) == ("bad_request", "say", "d.jsonl:5")
    assert "not this word" in failed["message"]
    assert "word: must be text, not 5" in json.loads(lines[4])["error"]["message"]


def test_cells_of_csv_are_read_by_the_types_of_the_inputs(folder):
    Path("d.csv").write_text('word,times,loud,tags,size,other\nw2,3,true,,,x\nw1,,,"[""a"", ""b""]",1.5,\nw1,three,,,,\nw1,,,a b,,\n')
    done = cli("d.csv", "--simulate", "replies.yaml")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each.get("outputs", {}).get("said") for each in found] == ["loud", "with tags", None, None]
    assert found[2]["error"] == {"kind": "input", "message": "column 'times' is integer(1..9), not 'three'", "place": "d.csv:4"}
    assert found[3]["error"]["message"] == "column 'tags' is list(string), and holds no JSON: 'a b'"


def test_columns_of_other_names_and_inputs_for_all_rows(folder):
    Path("d.csv").write_text("Body,times\nw2,1\nw2,2\n")
    done = cli("d.csv", "--map", "word=Body", "-i", "times=3", "-i", "loud=true", "--simulate", "replies.yaml")
    assert done.return_value == 0
    assert [json.loads(line)["outputs"]["said"] for line in done.stdout.splitlines()] == ["loud", "loud"]


def test_stdin_holds_jsonl(folder):
    done = subprocess.run(
        child_line("say.flow.yaml", "-", "--simulate"),
        input='{"word": "a"}\nno\n',
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 1
    assert json.loads(done.stdout.splitlines()[1])["error"]["place"] == "<stdin>:2"


def test_rows_of_a_pipe_are_answered_as_they_come(folder):
    """The line of a row is there before the next row comes."""
    process = subprocess.Popen(
        child_line("say.flow.yaml", "-", "--simulate", "-q"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    )
    for word in "abc":
        process.stdin.write(json.dumps({"word": word}) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["status"] == "succeeded"
    process.stdin.close()
    assert process.wait(10) == 0
    process.stdout.close()


@pytest.mark.parametrize(
    ("data", "args", "said"),
    [
        ("d.jsonl", ["--map", "wrod=x"], "--map wrod=x: the flow has no input 'wrod'; did you mean 'word'?"),
        ("d.jsonl", ["--map", "word"], "write it as INPUT=COLUMN"),
        ("d.jsonl", ["--map", "word=a", "--map", "word=b"], "the input 'word' is mapped twice"),
        ("d.csv", ["--map", "word=tetx"], "--map word=tetx: the header of d.csv has no column 'tetx'; did you mean 'text'?"),
        ("d.jsonl", ["--map", "word=tetx"], "--map word=tetx: d.jsonl has no column 'tetx'; did you mean 'text'?"),
        (
            "d.csv",
            [],
            "the header of d.csv has no column 'word', which the flow needs as an input; there are text, times\n   hint: --map word=COLUMN",
        ),
        ("d.jsonl", [], "d.jsonl has no column 'word', which the flow needs as an input"),
        ("d.jsonl", ["-i", "wrod=x"], "no input 'wrod'; did you mean 'word'?"),
        ("none.jsonl", [], "none.jsonl: there is no such file"),
        (".", [], ".: is a folder"),
        ("d.json", [], "jq -c"),
        ("empty.csv", [], "empty.csv: the file is empty"),
        ("d.jsonl", ["-o", "none/out.jsonl", "-i", "word=x"], "-o none/out.jsonl: there is no folder none\n   hint: mkdir -p none"),
        ("d.jsonl", ["--summary", "none/sum.json", "-i", "word=x"], "--summary none/sum.json: there is no folder none"),
        ("d.jsonl", ["-o", ".", "-i", "word=x"], "-o .: that is a folder"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_called(folder, data, args, said):
    jsonl("d.jsonl", {"text": "a"}, {"text": "b", "times": 1})
    Path("d.csv").write_text("text,times\na,1\n")
    Path("d.json").write_text("[]")
    Path("empty.csv").touch()
    with pytest.raises((ConfigError, InputError)) as caught:
        cli(data, *args, "--simulate")
    assert said in str(caught.value)
    assert not Path("out.jsonl").exists()
    assert batches() == [], "nothing is noted of what never began"


def test_a_missing_key_is_said_before_anything_is_written(folder):
    jsonl("d.jsonl", {"word": "a"})
    Path("flowkit.toml").write_text('[providers.openai]\napi_key_env = "NO_SUCH_KEY"\n')
    with pytest.raises(ConfigError, match="NO_SUCH_KEY"):
        cli("d.jsonl", "-o", "out.jsonl", "--no-record")
    assert not Path("out.jsonl").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "which flow, and which data"),
        (["d.jsonl", "--seed", "1"], "--seed is for"),
        (["-", "--inputs", "-"], "both read stdin"),
        (["d.jsonl", "--json"], "--json needs -o"),
        (["d.jsonl", "--retry-failed"], "--retry-failed needs -o"),
        (["d.jsonl", "-o", "d.jsonl"], "which would be lost"),
        (["d.jsonl", "-o", "o", "--retry-failed", "--force"], "as it is"),
    ],
)
def test_options_that_do_not_go_together_are_refused(folder, args, said):
    jsonl("d.jsonl", {"word": "a"})
    done = subprocess.run(child_line("say.flow.yaml", *args), capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 2
    assert said in done.stderr


def test_the_first_rows_and_a_sample_of_all(folder):
    jsonl("d.jsonl", *({"word": f"w{n}"} for n in range(100)))
    rows = {args: [json.loads(line)["row"] for line in cli("d.jsonl", "--simulate", *args).stdout.splitlines()] for args in SELECTIONS}
    first, sample, again, other, both, more = rows.values()
    assert first == [1, 2, 3, 4, 5]
    assert sample == sorted(set(sample))
    assert len(sample) == 10
    assert again == sample != other
    assert both == sample[:3]
    assert more == list(range(1, 101))


SELECTIONS = [
    ("--limit", "5"),
    ("--sample", "10"),
    ("--sample", "10", "--concurrency", "1"),
    ("--sample", "10", "--seed", "x"),
    ("--sample", "10", "--limit", "3"),
    ("--sample", "1000"),
]


def test_a_sample_of_a_stream_says_the_way_out(folder):
    with pytest.raises(ConfigError, match="write them to a file first"):
        cli("-", "--sample", "2", "--simulate", stdin='{"word": "a"}\n')


def test_each_row_meets_the_simulator_as_if_it_were_the_first(folder):
    """Simulated lines do not depend on the company of a row either."""
    Path("replies.yaml").write_text("say: [first, second]\n")
    jsonl("d.jsonl", *({"word": f"w{n}"} for n in range(300)))
    texts = [cli("d.jsonl", "--simulate", "replies.yaml", "--concurrency", number).stdout for number in ("1", "8", "64")]
    assert texts[0].count('"first"') == 300
    assert texts[0] == texts[1] == texts[2]


# -- summary -------------------------------------------------------------------------------------------------


def test_the_summary_for_people_and_for_programs(folder):
    jsonl("d.jsonl", {"word": "w"}, {"word": "bad"}, "no\n", "no\n")
    done = cli("d.jsonl", "--simulate", "replies.yaml", "-o", "out.jsonl", "--json", "--summary", "sum.json")
    found = json.loads(done.stdout)
    assert found == json.loads(Path("sum.json").read_text())
    assert (found["status"], found["rows"], found["succeeded"], found["failed"], found["left"]) == (
        "finished",
        4,
        1,
        {"input": 2, "bad_request": 1},
        0,
    )
    assert found["usage"]["calls"] == 1
    assert found["simulated"] is True
    assert found["cost"] is None
    assert "say (simulated): finished, 4 rows in " in done.stderr
    assert "  failed     3: input 2, bad_request 1\n" in done.stderr
    assert "d.jsonl:2: row 2 failed at 'say': bad_request: " in done.stderr


def test_quiet_says_nothing(folder):
    jsonl("d.jsonl", {"word": "w"})
    done = cli("d.jsonl", "--simulate", "-q")
    assert (done.stderr, done.stdout.count("\n")) == ("", 1)


def test_progress_in_a_log_is_plain_and_no_flood(folder):
    jsonl("d.jsonl", *["no\n"] * 50)
    said = cli("d.jsonl", "--simulate").stderr
    assert said.count("failed: input") == 5
    assert "\x1b" not in said


# -- going on ------------------------------------------------------------------------------------------------


def rows_of(number):
    return [{"word": "bad" if n % 10 == 7 else f"w{n}"} for n in range(number)]


def test_the_same_command_goes_on_behind_what_is_written(folder):
    jsonl("d.jsonl", *rows_of(40))
    assert job(output="whole.jsonl") == 1
    whole = Path("whole.jsonl").read_bytes()
    assert job(limit=15) == 1
    assert whole.startswith(Path("out.jsonl").read_bytes())
    assert len(out()) == 15
    # What a process wrote after its last note, and half of a line.
    with Path("out.jsonl").open("ab") as file:
        file.write(b'{"row": 16, "status": "succeeded", "outputs": {"said": "torn"}}\n{"row": 17, "sta')
    assert job(summary="sum.json") == 1
    assert Path("out.jsonl").read_bytes() == whole
    found = json.loads(Path("sum.json").read_text())
    assert (found["kept"], found["rows"], found["succeeded"], found["failed"], found["usage"]["calls"]) == (
        15,
        40,
        36,
        {"bad_request": 4},
        36,
    )


def test_a_batch_that_is_done_asks_nothing_until_there_are_more_rows(folder, capsys):
    jsonl("d.jsonl", *rows_of(5))
    assert job() == 0
    assert job(simulate="replies.yaml") == 0
    assert "5 of these were there before" in capsys.readouterr().err
    jsonl("d.jsonl", *rows_of(7))
    assert job() == 0
    assert [each["row"] for each in out()] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: jsonl("d.jsonl", {"word": "other"}, *rows_of(9)[1:]), "starting over: the data changed within its first 5 rows"),
        (lambda: jsonl("d.jsonl", *rows_of(3)), "starting over: the data had 5 rows at least, and has 3 now"),
        (lambda: Path("say.flow.yaml").write_text(FLOW.replace("Say ", "Tell ")), "the flow changed since"),
        (lambda: Path("replies.yaml").write_text(REPLIES + "\n"), "--simulate: replies.yaml "),
        (lambda: Path("out.jsonl").unlink(), "starting over: out.jsonl is gone"),
    ],
)
def test_what_changed_is_said_and_the_batch_starts_over(folder, capsys, change, said):
    jsonl("d.jsonl", *rows_of(9))
    job(limit=5)
    change()
    capsys.readouterr()
    job()
    assert said in capsys.readouterr().err
    assert [each["row"] for each in out()] == list(range(1, len(out()) + 1))
    assert len(out()) == len(Path("d.jsonl").read_text().splitlines())


def test_options_that_changed_are_said(folder, capsys):
    jsonl("d.jsonl", *rows_of(9))
    job(limit=5)
    job(settings=("defaults.params.temperature=0",), fixed=("times=2",))
    said = capsys.readouterr().err
    assert "--set: nothing before, defaults.params.temperature=0 now" in said
    assert '-i: nothing before, {"times": 2} now' in said


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda: Path("out.jsonl").write_text("mine\n"), "no batch is known that wrote it"),
        (
            lambda: (
                job(),
                Path("other.jsonl").write_text('{"word": "a"}\n'),
                Path("d.jsonl").rename("e.jsonl"),
                Path("other.jsonl").rename("d.jsonl"),
                job("e.jsonl", output="x.jsonl"),
            ),
            None,
        ),
        (lambda: (job("e.jsonl"),), "another data: "),
        (lambda: (job(), Path("out.jsonl").write_bytes(Path("out.jsonl").read_bytes()[:-20])), "the file was changed since"),
    ],
)
def test_a_file_that_is_not_ours_is_never_overwritten_unasked(folder, prepare, said):
    jsonl("d.jsonl", *rows_of(5))
    jsonl("e.jsonl", *rows_of(5))
    prepare()
    if said is None:
        return
    before = Path("out.jsonl").read_bytes()
    with pytest.raises(ConfigError) as caught:
        job()
    assert said in str(caught.value)
    assert "--force" in str(caught.value)
    assert Path("out.jsonl").read_bytes() == before
    assert job(force=True) == 0
    assert len(out()) == 5


def test_failed_rows_are_run_again_and_the_others_stay(folder):
    jsonl("d.jsonl", *rows_of(30))
    assert job(limit=25) == 1
    before = Path("out.jsonl").read_text().splitlines()
    Path("replies.yaml").write_text("say: better\n")
    assert job(retry_failed=True, summary="sum.json") == 0
    after = Path("out.jsonl").read_text().splitlines()
    assert len(after) == 30
    assert [a == b for a, b in zip(before, after, strict=False)] == [n not in {7, 17} for n in range(25)]
    assert all(json.loads(after[n])["outputs"] == {"said": "better"} for n in (7, 17, 29))
    assert json.loads(Path("sum.json").read_text())["succeeded"] == 30
    assert not Path("out.jsonl.retry").exists()
    assert job() == 0, "the next command goes on from there"
    assert Path("out.jsonl").read_text().splitlines() == after


def test_a_retry_that_is_stopped_keeps_what_it_did_not_come_to(folder):
    jsonl("d.jsonl", *rows_of(30))
    assert job() == 1
    before = Path("out.jsonl").read_text().splitlines()
    Path("replies.yaml").write_text("say:\n  - {match: w, reply: never}\n  - {error: {status: 401, message: no key}}\n")
    assert job(retry_failed=True) == 3
    assert Path("out.jsonl").read_text().splitlines() == before
    Path("replies.yaml").write_text(REPLIES)
    assert job(retry_failed=True) == 1
    assert Path("out.jsonl").read_text().splitlines() == before


def test_a_key_that_is_refused_stops_the_batch_and_the_same_command_goes_on(folder, capsys):
    jsonl("d.jsonl", *({"word": f"w{n}"} for n in range(50)))
    Path("replies.yaml").write_text("say:\n  - {match: 'w20 ', error: {status: 401, message: the key is over}}\n  - {reply: fine}\n")
    assert job(summary="sum.json") == 3
    said = capsys.readouterr().err
    assert "d.jsonl:21: step 'say': " in said
    assert "the key is over" in said
    assert "to go on: flowkit " in said
    assert [each["row"] for each in out()] == list(range(1, 21))
    found = json.loads(Path("sum.json").read_text())
    assert (found["status"], found["rows"], found["left"], found["error"]["kind"], found["error"]["place"]) == (
        "stopped",
        20,
        30,
        "auth",
        "d.jsonl:21",
    )
    Path("replies.yaml").write_text("say: fine\n")
    assert job() == 0
    assert len(out()) == 50


def test_a_limit_of_the_batch_stops_it_and_a_larger_one_goes_on(folder, capsys):
    jsonl("d.jsonl", *rows_of(30))
    assert job(keeping=Keeping(limits=Limits(calls=12)), concurrency=4, summary="sum.json") == 4
    assert json.loads(Path("sum.json").read_text())["error"]["kind"] == "limit"
    written = len(out())
    assert 9 <= written <= 14
    assert job(keeping=Keeping(limits=Limits(calls=100))) == 1
    assert [each["row"] for each in out()] == list(range(1, 31))


def test_how_to_run_failed_rows_again_is_said(folder, capsys):
    jsonl("d.jsonl", *rows_of(8))
    job()
    assert "to run the rows that failed again: flowkit " in capsys.readouterr().err


def test_without_a_record_nothing_is_promised(folder):
    jsonl("d.jsonl", *rows_of(8))
    done = cli("d.jsonl", "--simulate", "replies.yaml", "-o", "out.jsonl", "--max-calls", "3", "--no-record")
    assert done.return_value == 4
    assert "--force begins anew" in done.stderr


def test_the_first_failure_may_be_the_end(folder):
    jsonl("d.jsonl", *rows_of(30))
    assert job(keep_going=False) == 1
    assert [each["row"] for each in out()] == list(range(1, 9))
    assert job() == 1
    assert len(out()) == 30


# -- ends from outside ---------------------------------------------------------------------------------------

CHILD = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from flowkit.main import VERBS, main
VERBS.setdefault("batch", "")
sys.argv.insert(1, "batch")
main()
"""


def child_line(*args):
    return [sys.executable, "-c", CHILD, *args]


#: The command with a record.
KEEPING = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_commands_batch import job
sys.exit(job("d.jsonl", simulate=None, concurrency=8))
"""


def start(server):
    return subprocess.Popen(
        [sys.executable, "-c", KEEPING], stderr=subprocess.PIPE, text=True, env=environment(OPENAI_API_KEY="k", **server.env)
    )


def test_one_signal_ends_softly_and_a_later_process_goes_on(folder):
    """No row starts, calls in flight are written, the code is 130."""
    jsonl("d.jsonl", *({"word": f"w{n}"} for n in range(30)))
    with held() as server:
        process = start(server)
        for _ in range(8):
            assert server.asked.acquire(timeout=30)
        process.send_signal(signal.SIGINT)
        read_until(process.stderr, "stopping")
        server.go.set()
        _, said = process.communicate(timeout=10)
        assert process.returncode == 130
        assert server.count == 8
        assert "to go on: flowkit " in said
        assert [each["row"] for each in out()] == list(range(1, 9))
        process = start(server)
        process.communicate(timeout=30)
        assert process.returncode == 0
        assert server.count == 30
    assert [each["row"] for each in out()] == list(range(1, 31))


def test_a_second_signal_ends_at_once(folder):
    jsonl("d.jsonl", *({"word": f"w{n}"} for n in range(30)))
    with held() as server:
        process = start(server)
        for _ in range(8):
            assert server.asked.acquire(timeout=30)
        process.send_signal(signal.SIGINT)
        read_until(process.stderr, "stopping")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        assert time.monotonic() - began < 1.5
    assert process.returncode == 130
    assert json.loads(batches()[0].tallies)["maybe_billed"] == server.count, "what was cut in flight may have been billed"


def test_a_killed_batch_goes_on_and_no_row_is_lost_or_twice(folder):
    """Killed three times while it writes, the lines are those of a batch that was not."""
    jsonl("d.jsonl", *({"word": f"w{n}"} for n in range(200)))
    with held() as server:
        server.go.set()
        for number in range(3):
            process = start(server)
            for _ in range(30 + 13 * number):
                assert server.asked.acquire(timeout=30)
            process.kill()
            process.communicate()
        process = start(server)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert [(each["row"], each["outputs"]) for each in out()] == [(n + 1, {"said": "done"}) for n in range(200)]


def test_a_reader_that_goes_away_ends_it_quietly(folder):
    jsonl("d.jsonl", *({"word": f"w{n}"} for n in range(20_000)))
    process = subprocess.Popen(
        child_line("say.flow.yaml", "d.jsonl", "--simulate", "-q"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(20) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("args", [["-o", "/dev/full"], []])
def test_a_full_disk_is_said_without_a_traceback(folder, args):
    jsonl("d.jsonl", {"word": "a"})
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            child_line("say.flow.yaml", "d.jsonl", "--simulate", "-q", *args),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            check=False,
        )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


# -- what was spent ------------------------------------------------------------------------------------------

ASKING = """\
flowkit: 1
name: ask
inputs: {word: string}
defaults: {model: m}
steps:
  ask: {prompt: "Ask {{ inputs.word }}"}
  again: {prompt: "Again {{ steps.ask.output }} {{ inputs.word }}"}
outputs: {said: steps.again.output}
"""


@pytest.fixture
def server(folder):
    """A server that counts, and a flow of two calls a row."""
    with CountingServer() as server:
        Path("flowkit.toml").write_text(
            f'[providers.p]\nbase_url = "{server.url}"\n[models.m]\nmodel = "p/gpt"\nprice = {{input = 1, output = 2}}\n'
        )
        Path("ask.flow.yaml").write_text(ASKING)
        yield server


def ask(*, code=0, **more):
    """Run the batch as a process would, and return its summary."""
    assert job(flow="ask.flow.yaml", simulate=None, summary="sum.json", **more) == code
    return json.loads(Path("sum.json").read_text())


def test_what_a_limit_cut_was_spent_and_stays_so(server, capsys):
    """Rows that were not written yet count when they are paid, in this process and in those that go on."""
    jsonl("d.jsonl", *({"word": f"w{n}"} for n in range(10)))
    found = ask(keeping=Keeping(limits=Limits(calls=7)), code=4)
    assert (found["usage"]["calls"], found["usage"]["input_tokens"], server.count) == (7, 70, 7)
    assert "  spent      7 calls, 70 tokens in, 35 out\n" in capsys.readouterr().err
    assert json.loads(batches()[0].tallies)["usage"]["calls"] == 7
    found = ask()
    assert (found["usage"]["calls"], found["reused"], found["maybe_billed"], server.count) == (20, 0, 0, 20)
    assert found["cost"] == pytest.approx(20 * 20 / 1_000_000)
    assert [row.status for row in batches()] == ["succeeded"]
    assert json.loads(batches()[0].tallies)["usage"]["calls"] == 20


def test_without_a_record_what_was_cut_counts_too(server):
    jsonl("d.jsonl", *({"word": f"w{n}"} for n in range(10)))
    found = ask(keeping=Keeping(record=False, limits=Limits(calls=7)), code=4)
    assert (found["usage"]["calls"], server.count) == (7, 7)


def test_answers_of_other_runs_are_reused_and_own_ones_are_not(server):
    jsonl("d.jsonl", {"word": "a"}, {"word": "b"})
    ask()
    jsonl("e.jsonl", {"word": "a"}, {"word": "b"}, {"word": "c"})
    found = ask(data="e.jsonl", output="other.jsonl", keeping=Keeping(limits=Limits(calls=1)), code=4)
    assert (found["usage"]["calls"], found["reused"]) == (1, 4)
    found = ask(data="e.jsonl", output="other.jsonl")
    assert (found["usage"]["calls"], found["reused"], server.count) == (2, 4, 6)


def test_what_killed_processes_paid_is_counted_and_what_was_in_flight_is_said(folder):
    """The calls of all processes, and beside them those of which nobody knows, are what the server was asked."""
    jsonl("d.jsonl", *({"word": f"w{n}"} for n in range(30)))
    with held() as server:
        process = start(server)
        for _ in range(8):
            assert server.asked.acquire(timeout=30)
        process.kill()
        process.communicate()
        server.go.set()
        process = start(server)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0
        assert server.count == 38
    assert "  spent      30 calls" in said
    assert "8 maybe billed without an answer\n" in said
    tallies = json.loads(batches()[0].tallies)
    assert (len(batches()), tallies["usage"]["calls"], tallies["maybe_billed"], tallies["reused"]) == (1, 30, 8, 0)


def test_a_batch_that_began_fresh_stays_fresh_when_it_goes_on(server):
    """The line that goes on does not say --fresh, and yet no old answer is taken; own answers are."""
    jsonl("d.jsonl", *({"word": f"w{n}"} for n in range(4)))
    ask(output="old.jsonl")
    assert server.count == 8
    ask(keeping=Keeping(fresh=True, limits=Limits(calls=3)), code=4)
    ask(keeping=Keeping(limits=Limits(calls=2)), code=4)
    found = ask()
    assert (found["usage"]["calls"], found["reused"], server.count) == (8, 0, 16)


def test_what_changed_about_the_flow_is_said_in_words(server, capsys):
    jsonl("d.jsonl", {"word": "a"})
    ask()
    Path("ask.flow.yaml").write_text(ASKING.replace('"Ask ', '"Please ask '))
    ask()
    said = capsys.readouterr().err
    assert "steps.ask.messages[0].text: [-Ask-]{+Please ask+} {{ inputs.word }}\n" in said
    assert "the meaning of the flow" not in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace(b"plain", b"PLAIN", 1), "some are not what they were"),
        (lambda text: text + b"a line of mine\n", "stands something else"),
        (lambda text: text + b"half of mine", "stands something else"),
    ],
)
def test_an_edit_in_the_file_is_seen_whatever_its_length(folder, change, said):
    jsonl("d.jsonl", *rows_of(5))
    assert job() == 0
    changed = change(Path("out.jsonl").read_bytes())
    Path("out.jsonl").write_bytes(changed)
    for more in ({}, {"retry_failed": True}):
        with pytest.raises(ConfigError) as caught:
            job(**more)
        assert said in str(caught.value)
    assert Path("out.jsonl").read_bytes() == changed


def test_new_files_are_for_their_user_and_old_ones_keep_their_mode(folder):
    jsonl("d.jsonl", *rows_of(9))
    Path("kept.jsonl").touch()
    Path("kept.jsonl").chmod(0o644)
    job(summary="sum.json")
    job(output="kept.jsonl")
    Path("replies.yaml").write_text("say: better\n")
    job(output="kept.jsonl", retry_failed=True)
    modes = {name: Path(name).stat().st_mode & 0o777 for name in ("out.jsonl", "sum.json", "kept.jsonl")}
    assert modes == {"out.jsonl": 0o600, "sum.json": 0o600, "kept.jsonl": 0o644}


def test_rows_that_cannot_be_read_are_not_advised_to_run_again(folder, capsys):
    jsonl("d.jsonl", {"word": "a"}, "no\n", {"word": 5})
    assert job() == 1
    said = capsys.readouterr().err
    assert "--retry-failed" not in said
    assert "mend them" in said
    assert [row.status for row in batches()] == ["finished"], "not `succeeded`, for rows failed"


# -- while it goes on ----------------------------------------------------------------------------------------


def test_a_log_goes_on_by_time_while_the_first_row_hangs(capsys):
    """Rows that ended and wait for the first are counted, and it is said what is waited for, and why it is slow."""
    now = [0.0]
    pulse = Pulse(lambda: now[0])
    board = Board("say", Tally(), 10)
    view = PlainBatch(sys.stderr, board, pulse.clock)
    failed = AttemptFailed("say", Attempt(1, "m", "rate_limited", 0.1, status=429), 2.0, 0.1)
    read = pulse.reader()
    for _ in range(4):
        read(failed)
    pulse.answered = 8
    for second in range(70):
        now[0] = float(second)
        board.finished = board.calls = 8
        pulse.look(1)
        board.why = pulse.why(now[0])
        view.tick()
    first, *others = capsys.readouterr().err.splitlines()
    assert "8 of 10 rows (80 %), 0 written" in first
    assert "8 calls" in first
    assert "slowed down: the server answered 429 to 4 of 12 calls" in first
    assert "waiting for row 1 (10" in first
    assert len(others) == 5, "every 10 s in the first minute"
    assert "slowed down" not in others[-1], "that was long ago"


def test_calls_are_counted_while_their_rows_go_on():
    """An item counts when it ends, its step no second time, and what is inside of a sub-flow with the sub-flow."""
    pulse = Pulse(lambda: 0.0)
    read, other = pulse.reader(), pulse.reader()
    one, two = Usage(calls=1), Usage(calls=2)
    read(ItemFinished("each", 0, Status.SUCCEEDED, 0.0, usage=one))
    other(ItemFinished("each", 0, Status.SUCCEEDED, 0.0, usage=one))
    assert pulse.answered == 2
    read(ItemFinished("each", 1, Status.SUCCEEDED, 0.0, usage=one))
    read(StepFinished("each", Status.SUCCEEDED, 0.0, usage=two))
    assert pulse.answered == 3
    read(StepFinished("sub/inner", Status.SUCCEEDED, 0.0, usage=two))
    read(StepFinished("sub", Status.SUCCEEDED, 0.0, usage=two))
    assert pulse.answered == 5


def test_a_batch_looks_at_itself_while_no_row_ends(folder):
    """A process that waits for its first answer says so by itself."""
    jsonl("d.jsonl", {"word": "a"}, {"word": "b"})
    with held() as server:
        process = start(server)
        assert "waiting for row 1" in read_until(process.stderr, "waiting for row 1")
        server.go.set()
        process.communicate(timeout=30)
        assert process.returncode == 0


def test_a_retry_adds_to_what_was_spent_before(server):
    """Failed rows that are run again cost what the server was asked, and the summary is that of the whole batch."""
    jsonl("d.jsonl", *({"word": f"w{n}"} for n in range(5)))
    server.reply = lambda body: (400, "not this") if body["messages"][-1]["content"].startswith("Again") else "fine"
    found = ask(code=1)
    assert (found["usage"]["calls"], found["failed"], server.count) == (5, {"bad_request": 5}, 10)
    server.reply = lambda body: "fine"
    found = ask(retry_failed=True)
    assert (found["usage"]["calls"], found["reused"], found["succeeded"], server.count) == (10, 0, 5, 15)
    assert json.loads(batches()[0].tallies)["usage"]["calls"] == 10
    assert ask()["kept"] == 5, "the file is known as it is now"
