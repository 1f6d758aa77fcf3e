"""Cases run in their flow with their mocks and replies; a test fails for what it names, and for nothing else."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from suites_files import FLOW, REPLIES, SAY, only, ran, reasons, suite

from flowkit import replies, source
from flowkit.chat import ChatRequest
from flowkit.errors import Problems
from flowkit.replies import Replies
from flowkit.runtime import Runtime
from flowkit.simulator import Simulator
from flowkit.suites.results import Outcome
from flowkit.suites.running import Bench, run_cases
from flowkit.wire.response import Response

HEAD = "tests:\n  - inputs: {ticket: It crashes.}\n    replies: replies.yaml\n"


def parsed(text: str) -> Replies:
    problems = Problems()
    said = replies.parse_replies(source.parse(text, path=Path("r.yaml"), shown="r.yaml", problems=problems), problems)
    assert not problems.found
    return said


class Server:
    """Stands in the place of all servers, for tests that ask models: it counts what it is asked."""

    def __init__(self, said: str) -> None:
        self.simulator = Simulator(parsed(said))
        self.asked: list[ChatRequest] = []

    @property
    def learn(self):
        return self.simulator.learn

    async def respond(self, request: ChatRequest, body: bytes) -> Response:
        self.asked.append(request)
        return await self.simulator.respond(request, body)


def bench(server: Server, **more) -> Bench:
    """Cases that ask models ask this server; others their own simulator."""
    return Bench(lambda models, own: Runtime(models=models, simulate=own or server, env={}), **more)


HOLD = [
    "equals: bug, path: kind",
    "not-equals: question, path: kind",
    "{equals: [We are on it., Thank you.], path: drafts}",
    "{contains: on it, path: 'drafts[0]'}",
    "{icontains: ON IT, path: 'drafts[0]'}",
    "{not-contains: refund, path: 'drafts[1]'}",
    "{contains-all: [kind, Wake]}",
    "{contains-any: [refund, Wake]}",
    "{regex: '^W.*!$', path: note}",
    "{starts-with: Wake, path: note}",
    "{is-json: false, path: note}",
    "{similar: Wake up?, path: note}",
    "{expr: 'outputs.drafts | length == 2 and steps.extract.output.issues[0].severity == 5'}",
    "{expr: inputs.tone == 'friendly' and run.calls == 4}",
    "{not-skipped: [extract, escalate]}",
    "{called: 2, step: draft}",
    "{called: {at_least: 4, at_most: 4}}",
    "{step: draft, equals: Thank you., path: '[1]'}",
    "{step: draft, messages: 'Answer: '}",
    "{step: draft, messages: 'Answer: Typo', item: 2}",
    "{step: extract, messages: [{role: system, contains: friendly}, {role: user, equals: It crashes.}, {roles: [system, user]}]}",
    "{step: extract, messages: {at: -1, regex: 'crash', not-contains: friendly}}",
    "{is-json: {type: object, properties: {kind: {type: string}}, required: [kind]}, step: extract}",
]


@pytest.mark.parametrize("assertion", HOLD)
def test_an_assertion_that_holds_passes(tmp_path: Path, assertion: str) -> None:
    report = ran(tmp_path, f"{HEAD}    assert: [{assertion if assertion.startswith('{') else '{' + assertion + '}'}]\n")
    assert reasons(report) == []
    assert only(report).outcome is Outcome.PASSED


BROKEN = [
    ("{equals: question, path: kind}", "equals: question | "),
    ("{contains: refund, path: note}", "contains: refund | the text does not"),
    ("{contains-all: [Wake, refund]}", "contains-all: [Wake, refund] | the text lacks 'refund'"),
    ("{not-contains: Wake, path: note}", "not-contains: Wake | the text holds it"),
    ("{contains: a, path: 'drafts[7]'}", "contains: a | the value is absent"),
    ("{is-json: true, path: note}", "is-json: true | the text is no JSON: Expecting value: line 1 column 1 (char 0)"),
    ("{similar: Good night, path: note}", "similar: Good night | the ratio is 0.11, not 0.75"),
    ("{expr: outputs.kind == 'question'}", "expr: outputs.kind == 'question' | it is false, outputs.kind is \"bug\""),
    (
        "{expr: 'outputs.drafts[1] == inputs.ticket or steps.draft.skipped'}",
        'expr: outputs.drafts[1] == inputs.ticket or steps.draft.skipped | it is false, outputs.drafts[1] is "Thank you.", inputs.ticket is "It crashes.", steps.draft.skipped is false',
    ),
    ("{skipped: escalate}", "skipped: escalate | step 'escalate' ran and succeeded"),
    ("{called: 1, step: draft}", "called: 1 | 2 requests, not 1"),
    ("{step: draft, messages: Crash}", "messages: Crash | no message has contains: 'Crash' of item 2"),
    ("{step: draft, messages: a, item: 3}", "messages: a | step 'draft' sent nothing: it has no item 3"),
    ("{step: extract, messages: {roles: [user]}}", "messages: {roles: [user]} | the roles are system, user, not user"),
    (
        "{step: extract, messages: {role: system, not-contains: friendly}}",
        "messages: {role: system, not-contains: friendly} | a message of role system is as it may not be (not-contains: 'friendly')",
    ),
]


@pytest.mark.parametrize(("assertion", "wanted"), BROKEN, ids=[wanted for _, wanted in BROKEN])
def test_an_assertion_that_does_not_hold_says_why(tmp_path: Path, assertion: str, wanted: str) -> None:
    report = ran(tmp_path, f"{HEAD}    assert: [{assertion}]\n")
    assert reasons(report) == [wanted]
    assert report.exit_code == 1


def test_a_failure_names_the_step_that_gave_the_value_and_what_it_was_sent(tmp_path: Path) -> None:
    report = ran(tmp_path, f"{HEAD}    assert: [{{equals: question, path: kind}}]\n")
    (verdict,) = only(report).trials[0].verdicts
    assert (verdict.step, verdict.expected, verdict.got) == ("extract", "question", "bug")
    assert [m.content for m in verdict.messages] == ["Split it, in a friendly way.", "It crashes."]


def test_a_mocked_step_is_not_run(tmp_path: Path) -> None:
    tests = """\
    tests:
      - inputs: {ticket: a}
        mock: {extract: {kind: question, issues: []}}
        replies: {}
        assert: [{skipped: escalate}, {called: 0}, {equals: [], path: drafts}, {equals: null, path: note}]
    """
    assert reasons(ran(tmp_path, tests)) == []


def test_a_step_that_is_mocked_as_null_is_skipped(tmp_path: Path) -> None:
    tests = f"{HEAD}    mock: {{escalate: null}}\n    assert: [{{skipped: escalate}}, {{equals: null, path: note}}]\n"
    assert reasons(ran(tmp_path, tests)) == []


def test_rendered_messages_need_no_call(tmp_path: Path) -> None:
    server = Server("{}")
    tests = "tests:\n  - inputs: {ticket: It crashes., tone: formal}\n    assert: [{step: extract, messages: {role: system, contains: formal}}]\n"
    report = ran(tmp_path, tests, bench(server))
    assert (only(report).outcome, server.asked) == (Outcome.PASSED, [])


def test_what_is_made_up_for_other_steps_breaks_no_test_of_messages(tmp_path: Path) -> None:
    """Steps without replies answer by type, which a check of theirs may refuse; what was to be seen was seen."""
    flow = FLOW.replace("    output: {kind", "    checks: [{expr: output.kind == 'nothing of this' ~ ''}]\n    output: {kind")
    tests = "tests:\n  - inputs: {ticket: a}\n    assert: [{step: extract, messages: friendly}]\n"
    assert only(ran(tmp_path, tests, flow=flow)).outcome is Outcome.PASSED
    behind = "tests:\n  - inputs: {ticket: a}\n    assert: [{step: draft, messages: friendly}]\n"
    assert only(ran(tmp_path, behind, flow=flow)).outcome is Outcome.ERROR


def test_messages_after_a_real_run_are_those_of_what_its_steps_gave(tmp_path: Path) -> None:
    server = Server(REPLIES)
    tests = "tests:\n  - inputs: {ticket: It crashes.}\n    assert: [{contains: Wake, path: note}, {step: draft, messages: 'Answer: Crash', item: 1}]\n"
    report = ran(tmp_path, tests, bench(server))
    assert reasons(report) == []
    assert sorted(request.step for request in server.asked) == ["draft", "draft", "escalate", "extract"]


def test_a_test_whose_steps_are_all_given_asks_no_model(tmp_path: Path) -> None:
    tests = "tests:\n  - inputs: {ticket: a}\n    mock: {extract: {kind: bug, issues: []}, draft: [], escalate: Wake up!}\n    assert: [{contains: Wake, path: note}]\n"
    assert only(ran(tmp_path, tests, Bench(lambda models, own: Runtime(simulate=own or False, env={})))).outcome is Outcome.PASSED


def test_a_run_that_fails_is_an_error_and_no_failure(tmp_path: Path) -> None:
    tests = "tests:\n  - inputs: {ticket: a}\n    replies: {extract: [{error: {status: 401, message: no such key}}]}\n    assert: [{contains: a}]\n"
    report = ran(tmp_path, tests)
    failure = only(report).trials[0].failure
    assert failure is not None
    assert (only(report).outcome, failure.kind, failure.step, report.exit_code) == (Outcome.ERROR, "auth", "extract", 3)


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        ("invalid_output", Outcome.PASSED, 0),
        ("{kind: invalid_output, step: extract, contains: kind}", Outcome.PASSED, 0),
        ("check", Outcome.FAILED, 1),
        ("{step: draft}", Outcome.FAILED, 1),
    ],
)
def test_a_run_may_have_to_fail(tmp_path: Path, error: str, outcome: Outcome, code: int) -> None:
    tests = f"tests:\n  - inputs: {{ticket: a}}\n    replies: {{extract: {{kind: feature, issues: []}}}}\n    error: {error}\n    assert: [{{called: 3}}]\n"
    report = ran(tmp_path, tests)
    assert (only(report).outcome, report.exit_code) == (outcome, code)


def test_a_run_that_succeeds_where_it_had_to_fail_has_failed(tmp_path: Path) -> None:
    report = ran(tmp_path, f"{HEAD}    error: timeout\n")
    assert reasons(report) == ["fails with an error of kind timeout | the run succeeded"]


def test_another_error_of_a_server_than_the_expected_one_is_an_error(tmp_path: Path) -> None:
    tests = "tests:\n  - inputs: {ticket: a}\n    replies: {extract: [{error: {status: 401}}]}\n    error: invalid_output\n"
    assert only(ran(tmp_path, tests)).outcome is Outcome.ERROR


REPEATED = "tests:\n  - inputs: {word: a}\n    repeat: 4\n    pass_rate: %s\n    assert: [{contains: good}]\n"


@pytest.mark.parametrize(("rate", "outcome"), [(0.5, Outcome.PASSED), (0.75, Outcome.FAILED)])
def test_enough_of_the_repeats_must_pass(tmp_path: Path, rate: float, outcome: Outcome) -> None:
    server = Server("say: [good, bad, good, bad]")
    report = ran(tmp_path, REPEATED % rate, bench(server), flow=SAY, name="say")
    assert (only(report).outcome, only(report).passed, len(server.asked)) == (outcome, 2, 4)


def test_repeats_that_could_not_be_judged_decide_nothing(tmp_path: Path) -> None:
    """Three of four must pass, two did, and one might have: that is no failure."""
    server = Server("say: [{reply: good}, {reply: bad}, {reply: good}, {error: {status: 401}}]")
    report = ran(tmp_path, REPEATED % 0.75, bench(server), flow=SAY, name="say")
    assert only(report).outcome is Outcome.ERROR


PYTHON = """\
def polite(value): return "please" in value
def score(value, case): return {"score": 0.6, "reason": f"so-so {case['inputs']['word']}"}
async def later(value): return 0.9
def broken(value): raise KeyError("no")
def odd(value): return "yes"
def spread(values): return max(values) - min(values)
"""


@pytest.mark.parametrize(
    ("assertion", "wanted"),
    [
        ("{python: 'checks:later'}", []),
        ("{python: 'checks:score', threshold: 0.5}", []),
        ("{python: 'checks:score'}", ["python: checks:score | score 0.6: so-so a"]),
        ("{python: 'checks:polite'}", ["python: checks:polite | score 0"]),
        ("{python: 'checks:broken'}", ["python: checks:broken | checks:broken raised KeyError: 'no'"]),
        (
            "{python: 'checks:odd'}",
            ["python: checks:odd | checks:odd returned 'yes'; return true or false, a score, or {'pass': …, 'score': …, 'reason': …}"],
        ),
    ],
)
def test_a_function_judges_a_value(tmp_path: Path, assertion: str, wanted: list[str]) -> None:
    tests = f"tests:\n  - inputs: {{word: a}}\n    replies: {{say: hello}}\n    assert: [{assertion}]\n"
    report = ran(tmp_path, tests, flow=SAY, name="say", checks__py=PYTHON)
    assert reasons(report) == wanted
    if "broken" in assertion or "odd" in assertion:
        assert only(report).outcome is Outcome.ERROR


@pytest.mark.parametrize(
    ("reply", "threshold", "outcome"),
    [
        ("{reason: Kind., pass: true, score: 0.4}", "", Outcome.PASSED),
        ("{reason: Rude., pass: false, score: 0.9}", "", Outcome.FAILED),
        ("{reason: Kind., pass: true, score: 0.4}", ", threshold: 0.5", Outcome.FAILED),
    ],
)
def test_a_model_judges_by_a_rubric(tmp_path: Path, reply: str, threshold: str, outcome: Outcome) -> None:
    tests = f"tests:\n  - inputs: {{word: a}}\n    replies: {{say: hello, llm-rubric: {reply}}}\n    assert: [{{llm-rubric: Is kind., model: openai/m{threshold}}}]\n"
    assert only(ran(tmp_path, tests, flow=SAY, name="say")).outcome is outcome


def test_a_rubric_is_not_judged_by_an_answer_that_nobody_wrote(tmp_path: Path) -> None:
    tests = "tests:\n  - inputs: {word: a}\n    replies: {say: hello}\n    assert: [{llm-rubric: Is kind., model: openai/m}, {cost: 1}, {latency: 5s}]\n"
    verdicts = only(ran(tmp_path, tests, flow=SAY, name="say")).trials[0].verdicts
    assert [verdict.outcome for verdict in verdicts] == [Outcome.UNJUDGED] * 3


def test_the_model_of_a_rubric_is_asked_with_the_value_as_data(tmp_path: Path) -> None:
    server = Server("say: '{{ hello }}'\nrubric: {reason: So., pass: true, score: 1}")
    tests = "tests:\n  - inputs: {word: a}\n    assert: [{llm-rubric: Is kind., model: openai/judge}]\n"
    report = ran(tmp_path, tests, bench(server), flow=SAY, name="say")
    asked = server.asked[-1]
    assert (asked.model, asked.messages[-1].content) == ("judge", "{{ hello }}")
    assert "Criterion: Is kind." in str(asked.messages[0].content)
    assert only(report).usage.calls == 2


def test_a_judge_may_be_given_lists_and_constants(tmp_path: Path) -> None:
    judge = "flowkit: 1\ninputs: {words: list(string), limits: any, mark: integer, more?: string}\nsteps: {all: {set: {given: inputs, more: inputs.more}}}\noutputs: steps.all.output.given\n"
    tests = """\
    tests:
      - inputs: {word: a}
        replies: {say: hello}
        uses: judge.flow.yaml
        with: {words: [outputs.say, "'b'"], limits: {low: 1, high: inputs.word}, mark: 7, more: steps.say.error}
        assert: [{expr: "judge.words == ['hello', 'b'] and judge.limits.high == 'a' and judge.mark == 7"}]
    """
    found = ran(tmp_path, tests.replace(", more: steps.say.error", ""), flow=SAY, name="say", judge__flow__yaml=judge)
    assert only(found).trials[0].failure is None
    assert reasons(found) == []


def test_a_rubric_over_nothing_fails(tmp_path: Path) -> None:
    tests = "tests:\n  - inputs: {ticket: a}\n    replies: {extract: {kind: question, issues: []}, llm-rubric: {reason: a, pass: true, score: 1}}\n    assert: [{llm-rubric: a, model: openai/m, path: note}]\n"
    report = ran(tmp_path, tests)
    assert reasons(report) == ["llm-rubric: a | score 0: there is nothing to judge"]


JUDGE = """\
flowkit: 1
inputs: {drafts: list(string), wanted: string}
defaults: {model: openai/m}
steps: {rate: {prompt: '{{ inputs.wanted }} {{ inputs.drafts }}', output: {score: integer(0..10)}}}
outputs: steps.rate.output
"""
JUDGED = """\
tests:
  - name: rated
    data: [{ticket: a, wanted: x}, {ticket: b, wanted: y}]
    replies:
      extract: {kind: bug, issues: []}
      judge/rate: [{match: x, reply: {score: 9}}, {match: y, reply: {score: 4}}]
    uses: judge.flow.yaml
    with: {drafts: outputs.drafts, wanted: row.wanted}
    assert: [{expr: judge.score > 3}]
    metrics:
      quality: {expr: judge.score, at_least: 7}
      good: {expr: judge.score > 5, aggregate: rate, at_least: 0.5}
      spread: {expr: judge.score, aggregate: 'checks:spread', at_most: 5}
      worst: {expr: judge.score, aggregate: min}
      p90: {expr: judge.score, aggregate: p90}
metrics:
  everywhere: {expr: judge.score, aggregate: max}
"""


def test_a_flow_judges_the_rows_of_another_and_metrics_sum_them_up(tmp_path: Path) -> None:
    report = ran(tmp_path, JUDGED, judge__flow__yaml=JUDGE, checks__py=PYTHON)
    assert reasons(report) == []
    found = {m.id.rpartition(" ")[2]: (m.value, m.outcome, m.reason) for m in report.metrics}
    assert found == {
        "quality": (6.5, Outcome.FAILED, "6.5 is not at least 7"),
        "good": (0.5, Outcome.PASSED, ""),
        "spread": (5, Outcome.PASSED, ""),
        "worst": (4, Outcome.PASSED, ""),
        "p90": (9, Outcome.PASSED, ""),
        "everywhere": (9, Outcome.PASSED, ""),
    }
    assert report.exit_code == 1


def test_a_judge_that_fails_makes_an_error_of_its_own(tmp_path: Path) -> None:
    tests = JUDGED.replace("judge/rate: [{match: x, reply: {score: 9}}, {match: y, reply: {score: 4}}]", "judge/rate: {score: 11}")
    report = ran(tmp_path, tests, judge__flow__yaml=JUDGE, checks__py=PYTHON)
    failure = report.cases[0].trials[0].failure
    assert failure is not None
    assert (failure.kind, failure.step) == ("invalid_output", "rate")
    assert failure.message.startswith("the judge: ")
    assert {m.outcome for m in report.metrics} == {Outcome.ERROR}
    assert report.exit_code == 1


INNER = """\
flowkit: 1
defaults: {model: openai/m}
steps:
  names: {set: "['a', 'b']"}
  each:
    foreach: steps.names.output
    uses: say.flow.yaml
    with: {word: item}
"""


def test_a_step_inside_a_sub_flow_is_seen_by_its_path(tmp_path: Path) -> None:
    tests = """\
    tests:
      - replies: {each/say: [hello, bye]}
        assert:
          - {step: each/say, equals: bye, item: 2}
          - {step: each/say, messages: Say b, item: 2}
          - {step: each/say, called: 2}
      - replies: {each/say: hello}
        assert: [{step: each/say, equals: hello}]
    """
    report = ran(tmp_path, tests, flow=INNER, name="inner", say__flow__yaml=SAY)
    assert report.cases[0].outcome is Outcome.PASSED
    assert report.cases[1].outcome is Outcome.ERROR
    assert reasons(report) == ["equals: hello | step 'each/say' ran 2 times; say which run is meant: item: 1"]


def test_a_metric_is_no_number_when_a_row_gave_none(tmp_path: Path) -> None:
    tests = "tests:\n  - data: [{ticket: a}]\n    replies: {extract: {kind: question, issues: []}}\n    metrics: {m: {expr: outputs.note | length}}\n"
    (metric,) = ran(tmp_path, tests).metrics
    assert metric.outcome is Outcome.ERROR
    assert metric.reason.startswith("1 of 1 runs gave no number, the first is 1[1]: ")
    assert "'note'" in metric.reason


def test_models_and_variants_of_the_matrix_are_what_runs(tmp_path: Path) -> None:
    server = Server(REPLIES)
    tests = "matrix: {models: [openai/a, openai/b], variants: {draft: [base, short]}}\ntests: [{inputs: {ticket: a}}]"
    report = ran(tmp_path, tests, bench(server))
    assert [result.outcome for result in report.cases] == [Outcome.PASSED] * 4
    drafts = {(r.model, str(r.messages[0].content).split(":")[0]) for r in server.asked if r.step == "draft"}
    assert drafts == {("a", "Answer"), ("a", "Shortly"), ("b", "Answer"), ("b", "Shortly")}


def test_the_first_failure_may_end_all(tmp_path: Path) -> None:
    tests = "tests:\n" + "".join(
        f"  - {{name: t{n}, inputs: {{word: a}}, replies: {{say: b}}, assert: [{{equals: {'b' if n == 0 else 'c'}}}]}}\n" for n in range(4)
    )
    cases = suite(tmp_path, tests, flow=SAY, name="say").cases()
    report = asyncio.run(run_cases(cases, Bench(), stop_first=True))
    assert [result.outcome for result in report.cases] == ["passed", "failed", "not run", "not run"]


PRICED = SAY.replace(
    "defaults: {model: openai/m}", "defaults: {model: m}\nmodels: {m: {model: openai/m, price: {input: 1000, output: 1000}}}"
)


class Costing(Runtime):
    """Answers in the process, and yet as if a server did: then prices are asked for."""

    @property
    def simulated(self) -> bool:
        return False


def costing(models, own) -> Runtime:
    env = {"OPENAI_API_KEY": "k"}
    return Runtime(models=models, simulate=own, env=env) if own else Costing(models=models, simulate=Server("say: good"), env=env)


def test_cost_and_time_are_bounded(tmp_path: Path) -> None:
    tests = "tests:\n  - inputs: {word: a}\n    assert: [{cost: 1}, {cost: 0.0001}, {latency: 30s}, {latency: 1ms}]\n"
    report = ran(tmp_path, tests, Bench(costing), flow=PRICED, name="say")
    outcomes = [verdict.outcome for verdict in only(report).trials[0].verdicts]
    assert outcomes[:3] == ["passed", "failed", "passed"]
    assert only(report).cost.total == Decimal("0.003")


def test_an_unknown_cost_is_not_taken_for_a_small_one(tmp_path: Path) -> None:
    tests = "tests:\n  - inputs: {word: a}\n    assert: [{cost: 1}]\n"
    report = ran(tmp_path, tests, Bench(costing), flow=SAY, name="say")
    assert only(report).outcome is Outcome.ERROR
    assert "the cost is unknown" in reasons(report)[0]


def test_all_tests_together_stay_below_a_cost(tmp_path: Path) -> None:
    tests = "tests:\n" + "".join(f"  - {{name: t{n}, inputs: {{word: a}}}}\n" for n in range(9))
    report = ran(
        tmp_path, tests, Bench(costing, limit=Decimal("0.02")), flow=PRICED.replace("say: {", "say: {params: {max_tokens: 2}, "), name="say"
    )
    assert report.limit is not None
    assert report.exit_code == 4
    assert {result.outcome for result in report.cases} == {Outcome.PASSED, Outcome.NOT_RUN}
    assert report.cost.known <= Decimal("0.02")
