"""`flowkit bisect` finds the commit that broke a case, and pays for nothing that was paid before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_server import CountingServer, last
from versions import FLOW, Versions, lines

from flowkit.commands.bisect import Stopped, command
from flowkit.errors import ConfigError

TOLD = "tests: [{name: told, inputs: {word: a}, assert: [{starts-with: Say, step: say}]}]\n"


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Versions]:
    with CountingServer(reply=last) as server:
        found = Versions(tmp_path, server)
        monkeypatch.chdir(found.tree.root)
        yield found


def history(versions: Versions, *verbs: str) -> list[str]:
    return [versions.commit(verb) for verb in verbs]


def test_the_commit_is_found_and_shown_with_what_it_changed(versions: Versions) -> None:
    commits = history(versions, "Say", "Say it", "Shout", "Shout it", "Shout!")
    done, calls = versions.call(command, "say.flow.yaml", "-k", "loud")
    assert done.return_value == 0, done.exception
    assert lines(done)[0] == "say.test.yaml::loud was broken by"
    assert lines(done)[2] == f"  {commits[2][:10]}  Shout  (Ann, 2023-11-14 22:16 UTC)"
    changed = done.stdout.partition("what it changed:")[2].partition("before (")[0]
    assert "step say" in changed
    assert "Say it" in changed
    assert f'before ({commits[1][:10]}), passes:\n   │ {{"text": "Say it a after Name a"}}' in done.stdout
    assert (
        f"after ({commits[2][:10]}), fails:\n   line 2: starts-with: Say  (step 'say')\n     the text does not\n     │ \"Shout a after"
        in done.stdout
    )
    assert calls == 1 + len(done.stderr.splitlines()), "the first step asks the same in all versions"
    assert f"{calls} calls made" in lines(done)[-1]


def test_what_was_paid_is_not_paid_again(versions: Versions) -> None:
    history(versions, "Say", "Say it", "Shout", "Shout it")
    _, calls = versions.call(command, "say.flow.yaml", "-k", "loud")
    done, again = versions.call(command, "say.flow.yaml", "-k", "loud")
    assert (calls > 0, again) == (True, 0)
    assert ", 0 calls made, " in lines(done)[-1]


def test_commits_that_change_no_meaning_are_never_the_answer(versions: Versions) -> None:
    versions.commit("Say")
    broken = versions.commit("Shout")
    versions.commit("Shout", "Reformat", before="# a comment\n")
    done, calls = versions.call(command, "say.flow.yaml", "-k", "loud")
    assert broken[:10] in lines(done)[2]
    assert calls == 3


def test_what_is_not_committed_can_be_the_answer(versions: Versions) -> None:
    versions.commit("Say")
    versions.write("Shout")
    done, _ = versions.call(command, "say.flow.yaml", "-k", "loud")
    assert lines(done)[2] == "  what is not committed in the working tree"
    assert "after (working tree), fails:" in done.stdout


def test_a_version_that_does_not_check_is_left_out_and_named(versions: Versions) -> None:
    first = versions.commit("Say")
    torn = versions.commit("Shout", flow=FLOW.replace("{{ inputs.word }} after", "{{ inputs.wrd }} after"))
    last_ = versions.commit("Shout it")
    done, _ = versions.call(command, "say.flow.yaml", "-k", "loud")
    assert lines(done)[0] == "one of these 2 broke say.test.yaml::loud:"
    assert [line.split()[0] for line in lines(done)[2:4]] == [last_[:10], torn[:10]]
    assert f"left out: {torn[:10]}: in {torn[:10]} it has 1 error: say.flow.yaml:8:" in done.stdout
    assert f"before ({first[:10]})" in done.stdout


def test_a_version_that_the_case_does_not_fit_is_left_out(versions: Versions) -> None:
    older = versions.commit("Say", flow=FLOW.replace("word", "text"))
    versions.commit("Shout")
    done, _ = versions.call(command, "say.flow.yaml", "-k", "loud")
    assert done.return_value == 1
    assert "passed in no version in which it can run" in done.stdout
    assert f"left out: {older[:10]}: " in done.stdout
    assert "text: is required" in done.stdout.partition("left out")[2]


def test_a_case_that_passes_now_and_one_that_never_passed(versions: Versions) -> None:
    history(versions, "Say", "Shout")
    done, _ = versions.call(command, "say.flow.yaml", "-k", "any")
    assert isinstance(done.exception, ConfigError)
    assert "say.test.yaml::any passes in " in str(done.exception)
    versions.tree.put("say.test.yaml", "tests: [{name: never, inputs: {word: a}, assert: [{equals: never}]}]\n")
    done, _ = versions.call(command, "say.flow.yaml")
    assert done.return_value == 1
    assert lines(done)[0] == "say.test.yaml::never passed in no version in which it can run, so no commit broke it"


def test_good_and_bad_bound_the_search(versions: Versions) -> None:
    commits = history(versions, "Say", "Shout", "Say it", "Shout it", "Say now")
    done, _ = versions.call(command, "say.flow.yaml", "-k", "loud", "--bad", "HEAD~1")
    assert commits[3][:10] in lines(done)[2]
    done, _ = versions.call(command, "say.flow.yaml", "-k", "loud", "--good", commits[0], "--bad", commits[1])
    assert commits[1][:10] in lines(done)[2]
    done, _ = versions.call(command, "say.flow.yaml", "-k", "loud", "--good", commits[1], "--bad", commits[3])
    assert "fails already" in str(done.exception)
    done, _ = versions.call(command, "say.flow.yaml", "-k", "loud", "--good", "nothing")
    assert "'nothing' is no revision" in str(done.exception)


def test_a_side_of_a_merge_is_searched(versions: Versions) -> None:
    """The version before a commit may be another than the one that comes before it in time."""
    tree = versions.tree
    versions.commit("Say")
    tree.git("checkout", "-q", "-b", "side")
    broken = versions.commit("Shout")
    tree.git("checkout", "-q", "main")
    tree.put("other.txt", "x")
    tree.commit("Other")
    tree.git("merge", "-q", "--no-ff", "-m", "Merge", "side")
    versions.commit("Shout it")
    done, _ = versions.call(command, "say.flow.yaml", "-k", "loud")
    assert broken[:10] in lines(done)[2], done.stdout


def test_of_several_breaks_the_latest_is_found(versions: Versions) -> None:
    """Also where the version beside it does not check, and with a good one that lies far back."""
    commits = history(versions, "Say", "Shout", "Say it", "Shout")
    torn = []
    for verb in ("Shout it", "Shout!"):
        torn.append(versions.commit(verb, verb + " torn", flow=FLOW.replace("{{ inputs.word }} after", "{{ inputs.wrd }} after")))
        versions.commit(verb)
    for more in ((), ("--good", commits[0])):
        done, _ = versions.call(command, "say.flow.yaml", "-k", "loud", *more)
        assert commits[3][:10] in lines(done)[2], done.stdout
        assert "it was also broken and mended before: this is the latest break" in done.stdout
        assert f"before ({commits[2][:10]})" in done.stdout
        assert f"left out: {torn[1][:10]}: in {torn[1][:10]} it has 1 error" in done.stdout, done.stdout
        assert f"(the same for 1 more version: {torn[0][:10]})" in done.stdout


def test_versions_that_were_not_looked_at_are_counted(versions: Versions) -> None:
    history(versions, "Say", *(f"Shout {number}" for number in range(9)))
    done, _ = versions.call(command, "say.flow.yaml", "-k", "loud")
    assert "3 newer versions not looked at" in done.stdout, done.stdout


def test_one_case_is_meant(versions: Versions) -> None:
    history(versions, "Say", "Shout")
    done, _ = versions.call(command, "say.flow.yaml")
    assert "2 cases are meant: 'loud', 'any'; choose one with -k" in str(done.exception)
    done, _ = versions.call(command, "say.flow.yaml", "-k", "nothing")
    assert "say.flow.yaml has no such test; there are: loud, any" in str(done.exception)
    done, calls = versions.call(command, "say.test.yaml::loud")
    assert (done.return_value, calls) == (0, 3)


def test_a_server_that_is_down_stops_the_search_with_a_way_to_go_on(versions: Versions) -> None:
    history(versions, "Say", "Say it", "Shout", "Shout it")
    versions.server.reply = lambda body: (401, "no") if "Say it" in last(body) else last(body)
    done, calls = versions.call(command, "say.flow.yaml", "-k", "loud")
    assert done.return_value == Stopped("", 3).exit_code
    assert "the same command goes on from there" in done.stderr
    versions.server.reply = last
    done, rest = versions.call(command, "say.flow.yaml", "-k", "loud")
    assert done.return_value == 0
    assert rest == 1, "only what was not answered is asked"
    assert calls >= 3


def test_a_case_that_is_not_stable_is_said_to_be(versions: Versions) -> None:
    history(versions, "Say", "Shout")
    versions.tree.put("say.test.yaml", "tests: [{name: loud, inputs: {word: a}, pass_rate: 0.6, assert: [{starts-with: Say}]}]\n")
    seen: list[str] = []

    def shaky(body: dict) -> str:
        seen.append(last(body))
        return "Hm" if last(body).startswith("Say") and seen.count(last(body)) == 1 else last(body)

    versions.server.reply = shaky
    # The same answer for all repeats of the first step, so that the second step is asked the same.
    done, _ = versions.call(command, "say.flow.yaml", "--repeat", "3", "--json")
    document = json.loads(done.stdout)
    assert [each["state"] for each in document["versions"]] == ["bad", "good"]
    assert document["versions"][1]["result"]["passed"] == 2
    done, calls = versions.call(command, "say.flow.yaml", "--repeat", "3")
    assert calls == 0
    assert "the case is not stable: runs of the same version differ in " in done.stdout


def test_simulated_tests_need_no_server(versions: Versions) -> None:
    test = 'tests: [{name: told, inputs: {word: a}, assert: [{messages: {contains: "Say a"}, step: say}]}]\n'
    versions.tree.put("say.test.yaml", test)
    commits = history(versions, "Say", "Shout")
    done, calls = versions.call(command, "say.flow.yaml")
    assert (done.return_value, calls) == (0, 0)
    assert commits[1][:10] in lines(done)[2]
    assert lines(done)[-1].endswith("no model was asked")


def test_cassettes_of_each_version_answer_without_a_server(versions: Versions) -> None:
    from flowkit.commands import test

    commits = []
    for verb in ("Say", "Say it", "Shout"):
        versions.write(verb)
        versions.call(test.command, "--record", "--fresh")
        commits.append(versions.tree.commit(verb))
    commits.append(versions.commit("Shout it"))
    done, calls = versions.call(command, "say.flow.yaml", "-k", "loud", "--replay", "--bad", "HEAD~1")
    assert (done.return_value, calls) == (0, 0)
    assert commits[2][:10] in lines(done)[2]
    done, calls = versions.call(command, "say.flow.yaml", "-k", "loud", "--replay")
    assert calls == 0
    assert f"cannot be judged in {commits[3][:10]}:\n" in str(done.exception)
    assert "this question is not recorded" in str(done.exception)


def test_what_functions_import_is_seen_although_it_is_no_part_of_the_meaning(versions: Versions) -> None:
    """No commit that has nothing to do with it is blamed."""
    flow = "flowkit: 1\nname: say\ninputs: {word: string}\nsteps:\n  say: {call: 'tools:say', with: {word: inputs.word}}\n  more: {set: \"'VERB'\"}\n"
    versions.tree.put("say.test.yaml", TOLD)
    versions.tree.put("tools.py", "from deep import verb\n\n\ndef say(word: str) -> str:\n    return verb + word\n")
    versions.tree.put("deep.py", "verb = 'Say '\n")
    good = versions.commit("One", flow=flow)
    versions.tree.put("deep.py", "verb = 'Shout '\n")
    broken = versions.tree.commit("Deep")
    versions.commit("Two", flow=flow)
    done, _ = versions.call(command, "say.flow.yaml")
    assert isinstance(done.exception, ConfigError)
    said = f"passes in {good[:10]} and fails in {broken[:10]}, between which the flow means the same"
    assert said in str(done.exception)


def test_json_is_one_object(versions: Versions) -> None:
    commits = history(versions, "Say", "Shout")
    done, calls = versions.call(command, "say.flow.yaml", "-k", "loud", "--json")
    document = json.loads(done.stdout)
    assert [each["commit"] for each in document["commits"]] == [commits[1]]
    assert document["changes"][0]["path"] == "steps.say.messages[0].text"
    assert (document["calls_made"], done.stderr) == (calls, "")
