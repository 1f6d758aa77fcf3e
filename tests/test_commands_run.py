"""`flowkit run`: inputs, what it prints, and what it refuses before anything is called."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import HELLO, ONE, call, child, environment, write

REPLIES = "greet: Hi Ada!\nrate: {score: 7}\n"
#: Two texts at once, one of several items.
MANY = """\
flowkit: 1
name: many
inputs: {words: list(string)}
defaults: {model: openai/m}
steps:
  each: {foreach: inputs.words, prompt: "About {{ item }}"}
  all: {prompt: "All of {{ inputs.words }}"}
"""


@pytest.fixture
def hello(tmp_path):
    (tmp_path / "replies.yaml").write_text(REPLIES)
    return str(write(tmp_path, hello=HELLO))


@pytest.fixture
def replies(hello, tmp_path):
    return str(tmp_path / "replies.yaml")


def sent(hello, *args, stdin=None):
    """The messages that the inputs of a command line make."""
    done = call("render", hello, "greet", "--json", *args, stdin=stdin)
    assert done.exit_code == 0, done.stderr
    return [message["content"] for message in json.loads(done.stdout)["messages"]]


# -- inputs ------------------------------------------------------------------------------------------------


def test_text_is_read_by_the_type_of_its_input(hello):
    given = ["-i", "name=7", "-i", "times=3", "-i", "loud=true", "-i", "tone=formal"]
    assert sent(hello, *given) == ["Be formal and loud.", "7 3 []"]


def test_json_is_json_and_a_file_is_its_text(hello, tmp_path):
    (tmp_path / "name.txt").write_text("Ada = {{ x }}\n")
    (tmp_path / "tags.json").write_text('["a", "b"]')
    given = ["-i", f"name=@{tmp_path}/name.txt", "-i", f"tags:=@{tmp_path}/tags.json", "-i", "times:=2"]
    assert sent(hello, *given)[1] == 'Ada = {{ x }}\n 2 ["a", "b"]'


def test_a_file_of_inputs_is_json_or_yaml_and_single_inputs_count_more(hello, tmp_path):
    (tmp_path / "in.json").write_text('{"name": "Ada", "times": 2}')
    (tmp_path / "in.yaml").write_text("name: NO\ntags: [x]\n")
    assert sent(hello, "--inputs", f"{tmp_path}/in.json", "-i", "times=4")[1] == "Ada 4 []"
    assert sent(hello, "--inputs", f"{tmp_path}/in.yaml")[1] == 'NO 1 ["x"]'
    assert sent(hello, "--inputs", "-", stdin='{"name": "Eve"}')[1] == "Eve 1 []"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["-i", "times=x"], "error: input 'times' is integer(1..9), not 'x'\n"),
        (["-i", "loud=yes"], "error: input 'loud' is boolean, not 'yes'\n"),
        (["-i", "tone=rude"], "error: input 'tone' is enum(formal | friendly), not 'rude'\n"),
        (["-i", "tags=a"], "error: input 'tags' is list(string), which no text is; give JSON: NAME:=JSON or NAME:=@FILE.json\n"),
        (["-i", "tags:=[1"], "error: input 'tags': not JSON: Expecting ',' delimiter: line 1 column 3 (char 2)\n"),
        (["-i", "times:=NaN"], "error: input 'times': not JSON: NaN is not JSON\n"),
        (["-i", "name"], "error: 'name' is not of the form name=text, name=@file or name:=json\n"),
        (["-i", "name=a", "-i", "name=b"], "error: input 'name' is given twice\n"),
        (["-i", "name=@nowhere.txt"], "error: input 'name': there is no file 'nowhere.txt'\n"),
        (["-i", "name=a", "-i", "nmae=b"], "error: flow 'hello' has no input 'nmae'; did you mean 'name'?\n"),
        (["-i", "name=a", "-i", "times=10"], "error: the inputs of flow 'hello' do not fit:\n  times: "),
        (["-i", "name=a", "--inputs", "nowhere.json"], "error: nowhere.json: there is no file 'nowhere.json'\n"),
        (["-m", "fast"], "error: -m fast: write it as alias=model, such as fast=openai/gpt-4.1-mini\n"),
        (["-i", "name=a", "--env-file", "nowhere.env"], "error: there is no file 'nowhere.env'\n"),
        (["-i", "name=a", "--seed", "1"], "error: --seed is for --simulate"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_before_anything_is_called(hello, given, said):
    done = call("run", hello, *given)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "<stdin>: inputs are a mapping from names to values"),
        ('{"name": 1, "name": 2}', "is written twice"),
        ('{"name": NaN}', "<stdin>: not JSON: NaN is not JSON"),
        ("name: {", ""),
    ],
)
def test_inputs_from_stdin_that_are_no_mapping_are_refused(hello, text, said):
    done = call("run", hello, "--inputs", "-", "--simulate", stdin=text)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_all_missing_inputs_are_named_with_their_types_and_an_example(tmp_path):
    path = write(
        tmp_path, many=MANY.replace("{words: list(string)}", "{words: list(string), tone: enum(a b | c), n: 'integer(3..)', day: date}")
    )
    done = call("run", str(path), "--simulate")
    assert done.exit_code == 2
    assert done.stderr == (
        "error: flow 'many' needs these inputs:\n  words: list(string)\n  tone: enum(a b | c)\n  n: integer(3..)\n  day: date\n"
        f"   hint: flowkit run {path} -i words:=@words.json -i 'tone=a b' -i n=3 -i day=2026-01-31\n"
    )


def test_ten_megabytes_of_inputs_are_no_matter(tmp_path):
    path = write(tmp_path, hello=HELLO.replace("{{ inputs.name }}", "{{ inputs.name | length }}"))
    done = call("run", str(path), "--inputs", "-", "--simulate", "-q", stdin=json.dumps({"name": "x" * 10_000_000}))
    assert done.exit_code == 0


# -- what is printed ---------------------------------------------------------------------------------------


def test_one_text_is_printed_raw_and_several_outputs_as_json(hello, replies, tmp_path):
    done = call("run", hello, "-i", "name=Ada", "--simulate", replies)
    assert json.loads(done.stdout) == {"greeting": "Hi Ada!", "score": 7}
    assert call("run", hello, "-i", "name=Ada", "--simulate", replies, "--set", "outputs=steps.greet.output").stdout == "Hi Ada!\n"


def test_progress_goes_to_stderr_and_says_simulated(hello, replies):
    done = call("run", hello, "-i", "name=Ada", "--simulate", replies)
    assert "hello: 2 steps (simulated)" in done.stderr
    assert "greet: succeeded" in done.stderr
    assert call("run", hello, "-i", "name=Ada", "--simulate", replies, "-q").stderr == ""


def test_json_is_one_object_with_everything(hello, replies):
    document = json.loads(call("run", hello, "-i", "name=Ada", "--simulate", replies, "--json").stdout)
    assert list(document) == ["schema", "run", "flow", "status", "simulated", "outputs", "steps", "usage", "cost", "reused", "error"]
    assert (document["status"], document["simulated"], document["error"]) == ("succeeded", True, None)
    assert document["steps"]["rate"]["output"] == {"score": 7}


def test_json_is_printed_of_a_run_that_fails_too(hello, replies, tmp_path):
    (tmp_path / "replies.yaml").write_text("rate: {score: eleven}\n")
    done = call("run", hello, "-i", "name=Ada", "--simulate", replies, "--json")
    document = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (document["status"], document["error"]["kind"], document["error"]["step"]) == ("failed", "invalid_output", "rate")
    assert document["steps"]["greet"]["status"] == "succeeded"
    assert "error (simulated): step 'rate': " in done.stderr
    assert "   1 of 2 steps finished\n   hint: `flowkit resume " in done.stderr


@pytest.mark.parametrize(
    ("change", "given", "kind"),
    [
        (("inputs.name", "inputs.nam"), ["-i", "name=Ada", "--simulate"], "flow"),
        (("", ""), ["--simulate"], "input"),
        (("", ""), ["-i", "name=Ada"], "config"),
    ],
)
def test_json_is_printed_of_a_run_that_never_began(tmp_path, change, given, kind, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    path = write(tmp_path, hello=HELLO.replace(*change))
    done = call("run", str(path), "--json", *given)
    document = json.loads(done.stdout)
    assert done.exit_code == 2
    assert (document["status"], document["steps"], document["error"]["kind"]) == ("failed", {}, kind)


@pytest.mark.parametrize(("status", "code"), [(401, 3), (500, 3), (400, 3)])
def test_what_a_server_refuses_is_exit_3(hello, replies, tmp_path, status, code):
    (tmp_path / "replies.yaml").write_text(
        f"greet: [{{error: {{status: {status}, message: 'no \\e[31m'}}}}]\n".replace("'no \\e[31m'", '"no \\e[31m"')
    )
    done = call("run", hello, "-i", "name=Ada", "--simulate", replies)
    assert (done.exit_code, done.stdout) == (code, "")
    assert "\x1b" not in done.stderr


def test_events_are_json_lines_and_nothing_else(hello, replies):
    lines = call("run", hello, "-i", "name=Ada", "--simulate", replies, "--events").stdout.splitlines()
    kinds = [json.loads(line)["event"] for line in lines]
    assert (kinds[0], kinds[-1]) == ("run_started", "run_finished")
    assert "step_delta" not in kinds
    lines = call("run", hello, "-i", "name=Ada", "--simulate", replies, "--events", "--stream").stdout.splitlines()
    assert "step_delta" in [json.loads(line)["event"] for line in lines]


def test_a_streamed_text_is_printed_once(tmp_path):
    path = write(tmp_path, one=ONE)
    done = call("run", str(path), "-i", "word=x", "--simulate", "--stream")
    assert done.stdout == "Simulated answer of 'say'\n"


def test_several_texts_are_streamed_in_whole_lines_that_say_whose_they_are(tmp_path):
    path = write(tmp_path, many=MANY)
    (tmp_path / "replies.yaml").write_text('each: ["one\\ntwo", three]\nall: four\n')
    done = call("run", str(path), "-i", 'words:=["x", "y"]', "--simulate", str(tmp_path / "replies.yaml"), "--stream")
    lines = done.stdout.splitlines()
    at = lines.index("{")
    assert sorted(lines[:at]) == ["[all] four", "[each 1] one", "[each 1] two", "[each 2] three"]
    assert json.loads("\n".join(lines[at:])) == {"each": ["one\ntwo", "three"], "all": "four"}


def test_outputs_go_to_a_file(hello, replies, tmp_path):
    done = call("run", hello, "-i", "name=Ada", "--simulate", replies, "-o", str(tmp_path / "out.json"))
    assert done.stdout == ""
    assert json.loads((tmp_path / "out.json").read_text())["score"] == 7


def test_a_file_that_cannot_be_written_is_told_before_anything_is_paid_for(hello, tmp_path):
    done = call("run", hello, "-i", "name=Ada", "--simulate", "-o", str(tmp_path / "no" / "out"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "No such file or directory" in done.stderr
    assert "greet" not in done.stderr


def test_what_a_full_disk_does_not_take_is_printed(hello, replies):
    done = call("run", hello, "-i", "name=Ada", "--simulate", replies, "-q", "-o", "/dev/full")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["score"] == 7
    assert done.stderr == "error: -o /dev/full: No space left on device; the outputs were printed instead\n"


def test_a_full_stdout_is_an_error(tmp_path):
    path = write(tmp_path, one=ONE)
    with Path("/dev/full").open("w") as full:
        process = child("run", str(path), "-i", "word=x", "--simulate", "-q", stdout=full)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (1, "error: stdout: No space left on device\n")


# -- which model, which file -------------------------------------------------------------------------------


def test_simulation_is_by_type_and_seed(hello):
    def outputs(*more):
        return call("run", hello, "-i", "name=Ada", "-q", "--simulate", *more).stdout

    assert outputs() == outputs()
    assert len({outputs("--seed", str(n)) for n in range(8)}) > 1


def test_simulate_before_the_flow_does_not_take_it_for_replies(tmp_path):
    path = write(tmp_path, one=ONE)
    assert call("run", "-q", "-i", "word=x", "--simulate", str(path)).stdout == "Simulated answer of 'say'\n"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "gret: x\n",
            "replies.yaml:1:1: error: flow 'hello' has no step 'gret'\n    1 | gret: x\n      | ^^^^\n   hint: did you mean 'greet'?\n",
        ),
        ("rate: [{error: 5}]\n", "an error is a mapping with status"),
        ("greet: {\n", "replies.yaml:"),
    ],
)
def test_a_wrong_file_of_replies_is_exit_2_with_places(hello, replies, tmp_path, said, expected):
    (tmp_path / "replies.yaml").write_text(said)
    done = call("run", hello, "-i", "name=Ada", "--simulate", replies)
    assert done.exit_code == 2
    assert expected in done.stderr


def test_replies_for_a_step_that_asks_no_model_are_a_mistake(tmp_path):
    path = write(tmp_path, one=ONE + "  twice: {set: 'steps.say.output ~ steps.say.output'}\n")
    (tmp_path / "replies.yaml").write_text("twice: x\n")
    done = call("run", str(path), "-i", "word=x", "--simulate", str(tmp_path / "replies.yaml"))
    assert done.exit_code == 2
    assert "step 'twice' asks no model, so nothing replies to it\n" in done.stderr
    assert "hint: these do: say\n" in done.stderr


def test_a_model_can_be_exchanged(hello):
    document = json.loads(call("run", hello, "-i", "name=Ada", "--simulate", "--json", "-m", "openai/m=ollama/q").stdout)
    assert {step["model"] for step in document["steps"].values()} == {"ollama/q"}


def test_an_env_file_adds_what_is_not_set(tmp_path):
    path = write(tmp_path, one=ONE)
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-from-a-file\nOPENAI_BASE_URL=http://127.0.0.1:9/v1\n")
    line = ["run", str(path), "-i", "word=x", "--set", "defaults.retry=1"]
    bare = child(*line, cwd=tmp_path)
    assert "no key" in bare.communicate(timeout=30)[1]
    filled = child(*line, "--env-file", ".env", cwd=tmp_path)
    assert "127.0.0.1:9" in filled.communicate(timeout=30)[1]
    assert (bare.returncode, filled.returncode) == (2, 3)


# -- --variant ---------------------------------------------------------------------------------------------

VARIED = ONE.replace('{prompt: "Say', '{variants: {short: {prompt: Hi}, long: {params: {temperature: 0}}}, prompt: "Say')


def rendered(*args):
    return json.loads(call("render", *args, "-i", "word=x", "--json").stdout)


def test_a_variant_is_what_is_sent(tmp_path):
    path = str(write(tmp_path, varied=VARIED))
    assert [m["content"] for m in rendered(path, "say")["messages"]] == ["Say x"]
    assert [m["content"] for m in rendered(path, "say", "--variant", "say=short")["messages"]] == ["Hi"]
    assert rendered(path, "say", "--variant", "say=long")["temperature"] == 0
    outer = tmp_path / "outer.flow.yaml"
    outer.write_text("flowkit: 1\ninputs: {word: string}\nsteps: {part: {uses: varied.flow.yaml, with: {word: inputs.word}}}\n")
    assert [m["content"] for m in rendered(str(outer), "part/say", "--variant", "part/say=short")["messages"]] == ["Hi"]


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("say=shrt", "variant say=shrt: step 'say' has no variant 'shrt'; did you mean 'short'?"),
        ("sya=short", "variant sya=short: flow 'one' has no step 'sya'; did you mean 'say'?"),
        ("say", "--variant say: write it as STEP=NAME, such as reply=short"),
        ("=short", "--variant =short: write it as STEP=NAME"),
        ("say=", "--variant say=: write it as STEP=NAME"),
    ],
)
@pytest.mark.parametrize("line", [["run", "--simulate"], ["render"]])
def test_a_variant_that_is_not_there_is_refused(tmp_path, line, said, wanted):
    path = str(write(tmp_path, varied=VARIED))
    done = call(*line, path, *(["say"] if line == ["render"] else []), "-i", "word=x", "--variant", said)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {wanted}")


# -- --set -------------------------------------------------------------------------------------------------


def body(hello, *sets):
    args = [part for each in sets for part in ("--set", each)]
    done = call("render", hello, "rate", "-i", "name=Ada", "--given", "greet=Hi", "--json", *args)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_a_setting_is_laid_over_the_file(hello):
    assert body(hello, "steps.rate.params.temperature=0.5")["temperature"] == 0.5
    assert body(hello, "defaults.model=openai/other")["model"] == "other"
    assert body(hello, "defaults.params={temperature: 0}", "defaults.params.temperature=1")["temperature"] == 1
    assert body(hello, "steps.rate.prompt=Judge {{ steps.greet.output }}")["messages"][-1]["content"] == "Judge Hi"
    path = "steps.greet.messages.0.system=Be brief."
    assert (
        json.loads(call("render", hello, "greet", "-i", "name=A", "--json", "--set", path).stdout)["messages"][0]["content"] == "Be brief."
    )


@pytest.mark.parametrize(
    ("setting", "place", "said"),
    [
        ("steps.gret.model=openai/x", "--set:1:7", "hint: did you mean 'greet'?"),
        ("steps.greet.modle=openai/x", "--set:1:13", "hint: did you mean 'model'?"),
        ("steps.rate.params.temperature=hot", "--set steps.rate.params.temperature:1:1", "must be a number from 0 to 2, not 'hot'"),
        ("name.x=1", "--set:1:6", "there is nothing below 'name', which is a single value"),
        ("steps.greet.messages.7.user=x", "--set:1:22", "its items are 0 to 1"),
        ("steps.greet.model", "--set:1:1", "write it as path=value"),
        ("outputs={a: ", "--set outputs:1:", "error:"),
    ],
)
def test_a_setting_that_leads_nowhere_is_a_mistake_with_a_place(hello, setting, place, said):
    done = call("run", hello, "-i", "name=Ada", "--simulate", "--set", setting)
    assert done.exit_code == 2
    assert done.stderr.startswith(place)
    assert said in done.stderr


def test_null_takes_a_value_away(hello):
    done = call(
        "run",
        hello,
        "-i",
        "name=Ada",
        "--simulate",
        "--set",
        "steps.rate.params={temperature: 0}",
        "--set",
        "steps.rate.params.temperature=null",
        "-q",
    )
    assert done.exit_code == 0, done.stderr


# -- what a terminal obeys ---------------------------------------------------------------------------------


def test_a_terminal_obeys_nothing_that_a_model_wrote(tmp_path):
    """On a terminal control characters become visible; in a pipe the text is the text."""
    path = write(tmp_path, one=ONE)
    (tmp_path / "replies.yaml").write_text('say: "\\e[31mred\\e]0;title\\a"\n')
    line = f"flowkit run {path} -i word=x --simulate {tmp_path}/replies.yaml"
    code = "import sys; from flowkit.main import cli; cli.main(sys.argv[1:])"
    for more, quiet in (("", ""), (" --stream", ""), (" --stream -q", " -q")):
        shown = bytearray()
        args = [sys.executable, "-c", code, *(line + more).split()[1:]]
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvpe(args[0], args, environment(TERM="xterm"))
        try:
            while data := os.read(terminal, 4096):
                shown += data
        except OSError:
            pass
        os.waitpid(pid, 0)
        os.close(terminal)
        assert "␛[31mred␛]0;title␇" in shown.decode()
        assert ("simulated" in shown.decode()) == (quiet == "")
        assert b"\x1b]0" not in shown
    piped = subprocess.run(
        [sys.executable, "-c", code, *line.split()[1:], "-q"], capture_output=True, text=True, env=environment(), check=True
    )
    assert piped.stdout == "\x1b[31mred\x1b]0;title\x07\n"


def test_an_alias_that_no_step_uses_is_refused(hello):
    """Another model than the one that was meant would be paid."""
    found = call("run", hello, "-i", "name=Ada", "-m", "opnai/m=ollama/x", "--simulate")
    assert found.exit_code == 2
    assert "no step uses the model 'opnai/m'" in found.stderr
    assert "did you mean 'openai/m'?" in found.stderr
