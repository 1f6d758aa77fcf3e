"""`flowkit test --against REV` runs both versions, pays for the changed half, and says what got worse; `PATH@REV` runs the tests of then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import UsageError
from counting_server import CountingServer, last
from versions import FLOW, TESTS, Versions, lines

from flowkit.commands.test import command
from flowkit.errors import ConfigError
from flowkit.store import open_existing


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Versions]:
    with CountingServer(reply=last) as server:
        found = Versions(tmp_path, server)
        monkeypatch.chdir(found.tree.root)
        yield found


def against(versions: Versions, *args: str, revision: str = "HEAD") -> tuple[int, dict, int]:
    """Exit code, the object of --json, and how many calls were made."""
    done, calls = versions.call(command, "--against", revision, "--json", *args)
    assert done.exception is None, done.exception
    return done.return_value, json.loads(done.stdout), calls


def trends(document: dict) -> dict[str, str]:
    return {test["name"]: test["trend"] for test in document["tests"]}


def test_a_case_that_fails_now_is_worse_and_one_that_passes_now_better(versions: Versions) -> None:
    versions.commit("Say")
    versions.write("Shout")
    code, document, _ = against(versions)
    assert (code, trends(document)) == (1, {"loud": "worse", "any": "same"})
    versions.tree.commit("Shout")
    versions.write("Say it")
    code, document, _ = against(versions)
    assert (code, trends(document)) == (0, {"loud": "better", "any": "same"})


def test_the_unchanged_half_is_free_and_a_second_time_all_is(versions: Versions) -> None:
    versions.commit("Say")
    versions.write("Shout")
    _, document, calls = against(versions)
    assert calls == 2 + 2 + 2, "two cases: the first step once for both sides, the second step on each"
    assert (document["summary"]["calls_made"], document["summary"]["answers_reused"]) == (6, 2)
    _, document, calls = against(versions)
    assert (calls, document["summary"]["answers_reused"]) == (0, 8)


def test_a_flow_that_did_not_change_costs_one_side(versions: Versions) -> None:
    versions.commit("Say")
    code, document, calls = against(versions)
    assert (code, calls, set(trends(document).values())) == (0, 4, {"same"})


def test_tokens_and_time_are_those_of_answers_when_they_were_paid(versions: Versions) -> None:
    versions.commit("Say")
    versions.write("Shout")
    versions.server.delay = 0.05
    _, first, _ = against(versions)
    _, second, calls = against(versions)
    assert calls == 0
    for side in ("before", "now"):
        for document in (first, second):
            assert document["summary"][side]["input_tokens"] == 40
            assert document["summary"][side]["seconds"] >= 4 * 0.05
        assert first["summary"][side] == second["summary"][side]


def test_repeats_are_asked_one_by_one_and_say_what_chance_can_do(versions: Versions) -> None:
    versions.commit("Say")
    versions.write("Shout")
    _, document, calls = against(versions, "--repeat", "3", "-k", "loud")
    assert calls == 3 * 3
    (test,) = document["tests"]
    assert (test["before"]["passed"], test["now"]["passed"], test["p"]) == (3, 0, pytest.approx(0.1))
    assert test["reason"] == "not significant with 3 repeats (p = 0.1); so few never are, 4 can be"
    _, document, calls = against(versions, "--repeat", "4", "-k", "loud")
    assert calls == 3, "three repeats were paid before"
    assert document["tests"][0]["reason"] == "significant (p = 0.029)"


def test_a_latency_is_not_judged_where_an_answer_was_paid_before(versions: Versions) -> None:
    """Else the side that asks would be the slower one each time."""
    versions.tree.put("say.test.yaml", "tests: [{name: fast, inputs: {word: a}, assert: [{latency: 0.0001}]}]\n")
    versions.commit("Say")
    code, document, calls = against(versions)
    assert (code, calls, trends(document)) == (0, 2, {"fast": "same"})
    assert [document["tests"][0][side]["status"] for side in ("before", "now")] == ["passed", "passed"]


def test_a_case_that_cannot_run_on_the_old_flow_says_so(versions: Versions) -> None:
    versions.commit("Say", flow=FLOW.replace("  say: {", "  tell: {").replace("steps.say", "steps.tell"))
    versions.write("Say")
    versions.tree.put("say.test.yaml", TESTS + "  - {name: new, inputs: {word: c}, assert: [{contains: c, step: say}]}\n")
    code, document, _ = against(versions)
    assert (code, trends(document)) == (0, {"loud": "same", "any": "same", "new": "only now"})
    assert document["tests"][2]["reason"] == "assertion 1 of test 'new' names 'say', which is no step of flow 'say'"


def test_a_flow_that_is_new_and_one_that_was_wrong(versions: Versions) -> None:
    versions.tree.commit("Nothing")
    versions.write("Say")
    code, document, _ = against(versions)
    assert (code, set(trends(document).values())) == (0, {"only now"})
    assert document["tests"][0]["reason"] == "the flow is not in HEAD"
    versions.commit("Say", flow=FLOW.replace("inputs.word }} after", "inputs.wrd }} after"))
    versions.write("Say")
    _, document, _ = against(versions)
    assert "the flow is wrong in HEAD: say.flow.yaml@HEAD:8: " in document["tests"][0]["reason"]


def test_the_old_flow_brings_its_includes_and_its_configuration(versions: Versions) -> None:
    flow = FLOW.replace('"VERB {{', "\"{% include 'verb.txt' %} {{").replace('models: {m: {base_url: "URL", model: tiny}}\n', "")
    tree, url = versions.tree, versions.server.url
    tree.put("verb.txt", "Say")
    tree.put("flowkit.toml", f'[models.m]\nbase_url = "{url}"\nmodel = "old"\n')
    versions.commit("", "Old", flow=flow)
    tree.put("verb.txt", "Shout")
    tree.put("flowkit.toml", f'[models.m]\nbase_url = "{url}"\nmodel = "new"\n')
    code, document, calls = against(versions, "-k", "loud")
    assert (code, trends(document), calls) == (1, {"loud": "worse"}, 4)
    assert [body["model"] for body in versions.server.bodies] == ["new", "new", "old", "old"]


def test_runs_are_kept_as_those_of_the_flow_and_its_commit(versions: Versions) -> None:
    """So that `flowkit log` finds them."""
    commit = versions.commit("Say")
    versions.write("Shout")
    against(versions, "-k", "loud")
    record = open_existing(versions.tree.root / ".flowkit", version="1", warn=print)
    assert record is not None
    with record:
        now, then = sorted(record.runs(), key=lambda row: row.started)
    assert {now.path, then.path} == {str(versions.tree.root / "say.flow.yaml")}
    assert (now.revision, now.dirty, then.revision, then.dirty) == (commit, 1, commit, 0)
    assert now.fingerprint != then.fingerprint


def test_a_renamed_flow_is_followed(versions: Versions) -> None:
    versions.commit("Say")
    versions.tree.git("mv", "say.flow.yaml", "tell.flow.yaml")
    versions.tree.git("mv", "say.test.yaml", "tell.test.yaml")
    _, document, calls = against(versions)
    assert (trends(document), calls) == ({"loud": "same", "any": "same"}, 4)


def test_metrics_stand_side_by_side(versions: Versions) -> None:
    metrics = "metrics: {said: {expr: \"outputs.text.startswith('Say')\", at_least: 0.5}}\n"
    versions.tree.put("say.test.yaml", metrics + TESTS)
    versions.commit("Say")
    versions.write("Shout")
    code, document, _ = against(versions)
    assert code == 1
    assert document["metrics"] == [{"id": "say.test.yaml::metric said", "trend": "worse", "before": 1.0, "now": 0.0}]


def test_a_run_that_fails_now_is_worse_but_a_server_that_is_down_is_not(versions: Versions) -> None:
    versions.commit("Say")
    versions.write("Shout")
    versions.server.reply = lambda body: (401, "no") if "Shout" in last(body) else last(body)
    code, document, _ = against(versions, "-k", "loud")
    assert (code, trends(document)) == (3, {"loud": "unclear"})
    assert document["tests"][0]["reason"].startswith("now: ")
    versions.server.reply = lambda body: "" if "Shout" in last(body) else last(body)
    code, document, _ = against(versions, "-k", "loud")
    assert (code, trends(document)) == (1, {"loud": "worse"})


def test_few_cases_that_differ_say_nothing_over_all(versions: Versions) -> None:
    for cases, said in ((4, False), (5, True)):
        rows = ", ".join(f"{{word: a{number}}}" for number in range(cases))
        versions.tree.put("say.test.yaml", f"tests: [{{name: loud, data: [{rows}], assert: [{{starts-with: Say}}]}}]\n")
        versions.commit("Say")
        versions.write("Shout")
        done, _ = versions.call(command, "--against", "HEAD")
        assert ("over all (sign test" in done.stdout) == said


def test_simulated_tests_are_compared_without_a_call(versions: Versions) -> None:
    tests = 'tests: [{name: told, inputs: {word: a}, assert: [{messages: {contains: "Say a"}, step: say}]}]\n'
    versions.tree.put("say.test.yaml", tests)
    versions.commit("Say")
    versions.write("Shout")
    done, calls = versions.call(command, "--against", "HEAD")
    assert (done.return_value, calls) == (1, 0)
    assert "say.test.yaml\n  ✗ told  worse  passed  failed\n" in done.stdout
    assert lines(done)[-1].endswith("no model was asked")
    assert "chance" not in done.stdout, "it would come out so each time"


def test_cassettes_of_the_revision_answer_its_prompts(versions: Versions) -> None:
    versions.write("Say")
    assert versions.call(command, "--record")[0].return_value == 0
    versions.tree.commit("Say")
    versions.write("Shout")
    assert versions.call(command, "--record")[0].return_value == 1
    code, document, calls = against(versions, "--replay")
    assert (code, calls, trends(document)) == (1, 0, {"loud": "worse", "any": "same"})
    versions.write("Whisper")
    code, document, calls = against(versions, "--replay")
    assert (calls, trends(document)["loud"]) == (0, "unclear")
    assert "this question is not recorded" in document["tests"][0]["reason"]
    done, _ = versions.call(command, "--against", "HEAD", "--replay", "--repeat", "2")
    assert done.return_value == 1
    assert lines(done)[-1] == "2 cases could not be judged"
    assert "loud  unclear  error   error\n" in done.stdout
    assert "before: " in done.stdout
    assert "now: " in done.stdout


def test_text_says_what_failed_and_what_it_took(versions: Versions) -> None:
    commit = versions.commit("Say")
    versions.write("Shout")
    done, _ = versions.call(command, "--against", "HEAD")
    assert lines(done)[0] == f"HEAD ({commit[:10]}) → working tree"
    assert lines(done)[3] == "say.test.yaml"
    assert lines(done)[4].startswith("  ✗ loud  worse  passed  failed  30 ")
    assert (
        "✗ worse: say.test.yaml::loud, run once on each side; --repeat 5 tells whether it is chance\n   line 2: starts-with: Say"
        in done.stdout
    )
    assert "2 cases on both sides: 40 tokens in, 20 tokens out, cost unknown, calls of " in done.stdout
    assert lines(done)[-1].startswith("1 worse, 1 same in ")
    assert lines(done)[-1].endswith(", 6 calls made, 2 answers reused")


def test_markdown_is_a_comment_that_no_text_breaks_out_of(versions: Versions) -> None:
    versions.tree.put("say.test.yaml", "tests: [{name: 'a|b ```<b>', inputs: {word: '``` <i>'}, assert: [{starts-with: Say}]}]\n")
    versions.commit("Say")
    versions.write("Shout")
    done, _ = versions.call(command, "--against", "HEAD", "--format", "markdown")
    assert lines(done)[0] == "### Tests: 1 worse"
    assert "| ❌ worse | ````say.test.yaml::a\\|b ```<b>```` | passed | failed |" in done.stdout
    assert "<details><summary>worse: say.test.yaml::a|b ```&lt;b&gt;</summary>" in done.stdout
    fences = [line for line in lines(done) if line.startswith("````")]
    assert len(fences) == 2


def test_a_limit_holds_for_both_sides_together(versions: Versions) -> None:
    (versions.tree.root / "flowkit.toml").write_text("")
    flow = FLOW.replace("model: tiny}", "model: tiny, price: {input: 100, output: 100}, params: {max_tokens: 5}}")
    versions.commit("Say", flow=flow)
    versions.write("Shout", flow=flow)
    _, free, _ = against(versions, "-k", "any")
    cost = free["summary"]["now"]["cost"] + free["summary"]["before"]["cost"]
    assert cost > 0
    code, document, calls = against(versions, "-k", "loud", "--max-cost", str(cost / 2))
    assert (code, document["summary"]["unclear"]) == (4, 1)
    assert calls < 3
    assert document["summary"]["stopped"]


@pytest.mark.parametrize("option", [["--record"], ["--accept"], ["--junit", "x.xml"], ["-x"]])
def test_what_a_comparison_does_not_have_is_refused(versions: Versions, option: list[str]) -> None:
    versions.commit("Say")
    done, _ = versions.call(command, "--against", "HEAD", *option)
    assert isinstance(done.exception, UsageError)
    assert "exclude each other" in str(done.exception)


def test_no_repository_and_no_such_revision_are_said(versions: Versions) -> None:
    versions.commit("Say")
    done, calls = versions.call(command, "--against", "mian")
    assert isinstance(done.exception, ConfigError)
    assert "'mian' is no revision" in str(done.exception)
    assert calls == 0


# -- PATH@REV ----------------------------------------------------------------------------------------------


def test_a_flow_at_a_revision_is_tested_by_the_tests_of_then(versions: Versions) -> None:
    versions.commit("Shout")
    versions.tree.put("say.test.yaml", TESTS.replace("{starts-with: Say}", "{starts-with: Shout}"))
    fits = versions.tree.commit("Tests")
    versions.commit("Say")
    versions.tree.put("say.test.yaml", TESTS)
    assert versions.call(command)[0].return_value == 0
    done, _ = versions.call(command, f"say.flow.yaml@{fits}")
    assert done.return_value == 0
    done, _ = versions.call(command, "say.test.yaml@HEAD~2")
    assert done.return_value == 1
    assert "✗ FAILED say.test.yaml@HEAD~2::loud" in done.stdout
    done, _ = versions.call(command, "say.test.yaml@HEAD~2::any")
    assert (done.return_value, "1 passed, 1 deselected" in done.stdout) == (0, True)


def test_problems_of_a_revision_show_it(versions: Versions) -> None:
    from flowkit.errors import FlowError

    versions.tree.put("say.test.yaml", "tests: [{inputs: {wrd: a}}]\n")
    versions.commit("Say")
    done, _ = versions.call(command, "say.test.yaml@HEAD")
    assert isinstance(done.exception, FlowError)
    assert {problem.place.path for problem in done.exception.problems} == {"say.test.yaml@HEAD"}


def test_nothing_is_written_for_a_revision(versions: Versions) -> None:
    versions.commit("Say")
    done, _ = versions.call(command, "say.flow.yaml@HEAD", "--record")
    assert isinstance(done.exception, UsageError)
    assert "leave @REV out" in str(done.exception)
