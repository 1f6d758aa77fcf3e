"""Files of tests are checked whole with their flow: each mistake once, where it stands, with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from suites_files import SAY, problems, said, suite, write

from flowkit.suites import load


def one(folder: Path, test: str) -> list[str]:
    """What is wrong with one test, which begins in line 2."""
    return said(folder, f"tests:\n  - inputs: {{ticket: a}}\n{test}")


MISTAKES = [
    ("    asert: []", "3:5 unknown-key unknown key 'asert' in test 1; did you mean 'assert'?"),
    (
        "    assert: [{contans: a}]",
        "3:15 unknown-key unknown key 'contans' in assertion 1 of test 1; did you mean 'contains'?",
    ),
    (
        "    assert: [{contains: a, regex: b}]",
        "3:28 too-many-keys assertion 1 of test 1 has 'contains' and 'regex'; one assertion says one thing; make two of it",
    ),
    (
        "    assert: [{step: draft}]",
        "3:14 missing-key assertion 1 of test 1 says nothing that must hold; write a word such as `contains: …`",
    ),
    (
        "    assert: [{type: contains, value: a}]",
        "3:15 unknown-key unknown key 'type' in assertion 1 of test 1: its word is the key itself; write `contains: …`",
    ),
    (
        "    assert: [{contains: a, step: drft}]",
        "3:34 unknown-step assertion 1 of test 1 names 'drft', which is no step of flow 'triage'; did you mean 'draft'?",
    ),
    (
        "    assert: [{regex: '(a'}]",
        "3:23 wrong-pattern '(a' is no regular expression: missing ), unterminated subpattern; escape it, or write `contains`",
    ),
    (
        "    assert: [{equals: bux, path: kind}]",
        "3:23 assertion-type 'equals' of assertion 1 of test 1 does not fit its type: must be one of bug, question, not 'bux'; did you mean 'bug'?",
    ),
    ("    assert: [{equals: 1, path: kinds}]", "3:32 test-path 'outputs' has no 'kinds'; did you mean 'kind'?"),
    ("    assert: [{expr: outputs.kid == 'bug'}]", "3:29 unknown-field 'outputs' has no field 'kid'; did you mean 'kind'?"),
    ("    assert: [{expr: steps.extract.output.kind == 'bux'}]", "3:51 enum-word 'steps.extract.output.kind' is never 'bux'"),
    ("    assert: [{expr: row.kind}]", "3:21 unknown-name unknown name 'row'; a test has rows where it has `data:`"),
    ("    assert: [{expr: outputs.kind ==}]", "3:34 template-syntax"),
    (
        "    assert: [{skipped: escalat}]",
        "3:24 unknown-step 'skipped' of assertion 1 of test 1 names 'escalat', which is no step of flow 'triage'; did you mean 'escalate'?",
    ),
    (
        "    assert: [{similar: a, threshold: 2, path: note}]",
        "3:38 out-of-range 'threshold' of assertion 1 of test 1 must be a number from 0 to 1, not 2",
    ),
    (
        "    assert: [{contains: a, threshold: 1}]",
        "3:28 unknown-key 'threshold' means nothing beside 'contains'; it goes with llm-rubric, python, similar",
    ),
    (
        "    assert: [{messages: a}]",
        "3:15 missing-key assertion 1 of test 1 lacks 'step'; say whose messages: step: extract | draft | escalate",
    ),
    (
        "    assert: [{python: 'nowhere:f'}]",
        "3:23 unknown-module there is no module 'nowhere' beside the flow, in the project root, or installed",
    ),
    ("    assert: [{called: -1}]", "3:23 out-of-range 'called' of assertion 1 of test 1 must be a whole number of at least 0, not -1"),
    (
        "    assert: [{llm-rubric: Is kind.}]",
        "3:15 unknown-model assertion 1 of test 1 has no model that judges; write `model: provider/model`, or define the alias `judge` in flowkit.toml",
    ),
    ("    mock: {extract: {kind: bug}}", "3:21 mock-type the output of 'extract' does not fit its type: issues: is required: a list"),
    ("    replies: {extrct: a}", "3:15 unknown-step flow 'triage' has no step 'extrct'; did you mean 'extract'?"),
    (
        "    replies: {extract: {match: a, reply: b}}",
        "3:24 reply-form a single entry with match or error would be taken for an answer; put it into a list: `- {…}`",
    ),
    ("    error: tiemout", "3:12 unknown-word"),
    ("    error: timeout\n    assert: [{contains: a}]", "4:15 assertion-type test 1 expects an error, so there is nothing for 'contains'"),
    ("    repeat: 0", "3:13 out-of-range 'repeat' of test 1 must be a whole number of at least 1, not 0"),
    ("    with: {a: inputs.ticket}", "3:5 missing-key test 1 has 'with' but no 'uses'; name the judge: uses: judge.flow.yaml"),
    ("    metrics: {m: {at_least: 1}}", "3:18 missing-key metric 'm' lacks 'expr'; write expr: outputs.score"),
    (
        "    metrics: {m: {expr: 1, aggregate: avg}}",
        "3:39 unknown-word 'avg' is no way to aggregate; write mean, rate, min, max, p90, or module:function",
    ),
    ("    metrics: {m: {expr: outputs.note}}", "3:25 assertion-type 'expr' of metric 'm' is text, not a number"),
    (
        "    assert: {contains: a}",
        "3:13 wrong-type 'assert' of test 1 must be a list of mappings, not a mapping; begin the entry with '- '",
    ),
    (
        "    assert: [contains]",
        "3:14 wrong-type assertion 1 of test 1 must be a mapping, not 'contains'; write a word such as `contains: …`",
    ),
    (
        "    assert: [{expr: outputs.kind, step: draft}]",
        "3:35 unknown-key 'step' means nothing beside 'expr'; the expression reads steps itself: `steps.NAME.output`",
    ),
    ("    assert: [{contains: a, item: 1}]", "3:28 unknown-key 'item' means nothing beside 'contains'"),
    ("    assert: [{equals: a, path: 'kind['}]", "3:37 test-path 'kind[' is no path; write it as issues[0].title"),
    ("    assert: [{equals: a, path: kind.x}]", "3:37 test-path 'outputs.kind' is enum(bug | question), which has no 'x'"),
    (
        "    assert: [{equals: a, path: drafts.x}]",
        "3:39 test-path 'outputs.drafts' is list(string), which has no 'x'; write the position of an item, from 0: [0]",
    ),
    ("    assert: [{equals: a, path: 5}]", "3:32 wrong-type 'path' of assertion 1 of test 1 must be text, not 5; quote it: \"5\""),
    ("    assert: [{expr: true}]", None),
    ("    assert: [{expr: 5}]", "3:21 assertion-type 'expr' of assertion 1 of test 1 is always the same; compare it with something"),
    ("    assert: [{expr: }]", "3:21 empty-expression"),
    ("    assert: [{is-json: {type: string, not: {}}}]", "3:24 unsupported-schema"),
    ("    assert: [{python: 'json:dumb'}]", "3:23 unknown-function module 'json' has no 'dumb'; did you mean 'dump'?"),
    ("    assert: [{python: 'sys:path'}]", "3:23 unknown-function 'sys:path' is no function"),
    ("    assert: [{python: 5}]", "3:23 wrong-type"),
    ("    assert: [{regex: 5}]", "3:22 wrong-type"),
    ("    assert: [{skipped: 5}]", "3:24 wrong-type"),
    ("    assert: [{is-json: 5}]", "3:24 wrong-type"),
    (
        "    assert: [{step: extract, messages: {role: system}}]",
        "3:40 missing-key 'messages' of assertion 1 of test 1 says nothing that must hold; write what it holds: `contains: …`",
    ),
    ("    assert: [{step: extract, messages: {regex: '('}}]", "3:49 wrong-pattern"),
    ("    metrics: [a]", "3:14 wrong-type 'metrics' of test 1 must be a mapping, not a list"),
    ("    metrics: {m: {expr: 1, aggregate: 'json:dumb'}}", "3:39 unknown-function"),
    ("    mock: none.yaml", "3:11 file-not-found"),
    ("    mock: 5", "3:11 wrong-type"),
    ("    replies: none.yaml", "3:14 file-not-found"),
    ("    replies: 5", "3:14 wrong-type"),
    ("    replies: {draft: a, judge/x: b}", "3:25 unknown-step"),
    ("    error: {step: drft}", "3:19 unknown-step"),
    ("    uses: none.flow.yaml", "3:11 file-not-found"),
    ("    uses: 5", "3:11 wrong-type"),
    ("    matrix: []", "3:13 wrong-type"),
    ("    matrix: {variants: {extract: [a]}}", "3:25 unknown-variant 'extract' is no step with variants; these have some: draft"),
    ("    matrix: {models: [opnai/m]}", "3:23 unknown-model there is no model 'opnai/m'; write provider/model, or an alias"),
    ("    matrix: {models: {fats: [openai/m]}}", "3:23 unknown-model no step uses the model 'fats'; its steps use openai/m"),
    ("    matrix: {variants: {draft: [shrot]}}", "3:33 unknown-variant step 'draft' has no variant 'shrot'; did you mean 'short'?"),
]


@pytest.mark.parametrize(
    ("test", "wanted"), MISTAKES, ids=[f"{at}-{wanted and wanted.split()[1]}" for at, (_, wanted) in enumerate(MISTAKES)]
)
def test_a_mistake_is_reported_once_where_it_stands(tmp_path: Path, test: str, wanted: str | None) -> None:
    found = one(tmp_path, test)
    assert len(found) == (wanted is not None), found
    assert wanted is None or found[0].startswith(wanted)


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    found = one(tmp_path, "    assert: [{contans: a}, {regex: '('}, {step: x, contains: y}]\n    mock: {nobody: 1}")
    assert [each.split()[1] for each in found] == ["unknown-key", "wrong-pattern", "unknown-step", "unknown-step"]


def test_inputs_have_the_types_of_the_flow(tmp_path: Path) -> None:
    found = said(tmp_path, "tests:\n  - inputs: {tickt: a}\n  - name: empty\n  - inputs: {ticket: a, tone: rude}\n")
    assert [each.split(" does")[0] for each in found] == [
        "2:14 test-input 'inputs' of test 1",
        "3:5 test-input test 'empty' has no 'inputs', which",
        "4:31 test-input 'inputs' of test 3",
    ]
    assert "did you mean 'ticket'" in found[0]


def test_rows_come_from_jsonl_csv_or_the_file_itself(tmp_path: Path) -> None:
    tests = """\
    tests:
      - {name: lines, data: rows.jsonl}
      - {name: cells, data: {file: rows.csv, columns: {ticket: message}}, inputs: {tone: formal}}
      - {name: here, data: [{ticket: a, kind: bug}, {ticket: b, kind: question}], assert: [{expr: outputs.kind == row.kind}]}
    """
    found = suite(
        tmp_path,
        tests,
        rows__jsonl='{"id": "t-1", "ticket": "x"}\n\n{"id": "t-2", "ticket": "y"}\n',
        rows__csv="message,n\nhello,1\nyou,2\n",
    )
    assert [case.name for case in found.cases()] == ["lines[t-1]", "lines[t-2]", "cells[1]", "cells[2]", "here[1]", "here[2]"]
    cells = found.tests[1].rows
    assert cells[0].inputs == {"ticket": "hello", "tone": "formal"}
    assert cells[0].data == {"message": "hello", "n": "1"}


def test_a_cell_is_read_by_the_type_of_its_input(tmp_path: Path) -> None:
    flow = SAY.replace("{word: string}", "{word: string, n: integer, x?: number, loud: boolean}").replace(
        "{{ inputs.word }}", "{{ inputs.word }}{{ inputs.n }}{{ inputs.loud }}{{ inputs.x | default(0) }}"
    )
    found = suite(
        tmp_path,
        "tests: [{data: r.csv}]",
        flow=flow,
        name="say",
        r__csv="word,n,x,loud\n1,2,0.5,true\n,3,,FALSE\n".replace("\n,3", "\nw,3"),
    )
    assert [row.inputs for row in found.tests[0].rows] == [
        {"word": "1", "n": 2, "x": 0.5, "loud": True},
        {"word": "w", "n": 3, "loud": False},
    ]


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ("rows.jsonl", "1:1 test-input row 1 of test 1 does not fit its type: ticket: is required: text"),
        ("bad.jsonl", "2:1 test-data row 2 cannot be read: not JSON"),
        ("none.jsonl", "2:11 file-not-found"),
        ("empty.jsonl", "2:11 test-data 'data' of test 1 holds no rows"),
        ("rows.xlsx", "2:11 test-data 'rows.xlsx' is no file of rows"),
        ("{file: rows.jsonl, columns: {ticket: txt}}", "1:1 test-data row 1 has no column 'txt'; did you mean 'text'?"),
        ("{file: rows.jsonl, columns: {tickt: text}}", "2:40 test-input the flow has no input 'tickt'; did you mean 'ticket'?"),
    ],
)
def test_a_row_that_is_wrong_is_reported_in_its_own_file(tmp_path: Path, data: str, wanted: str) -> None:
    files = {"rows__jsonl": '{"text": "a"}\n', "bad__jsonl": '{"ticket": "a"}\n{\n', "empty__jsonl": "\n", "rows__xlsx": "x"}
    found = said(tmp_path, f"tests:\n  - data: {data}\n", **files)
    assert found[0].startswith(wanted)


def test_all_rows_are_checked_and_a_mistake_in_all_of_them_is_told_a_few_times(tmp_path: Path) -> None:
    rows = "".join('{"ticket": "a"}\n' if n < 9 else '{"ticket": 5}\n' for n in range(30))
    found = said(tmp_path, "tests: [{data: rows.jsonl}]\n", rows__jsonl=rows)
    assert [each.split()[0] for each in found] == ["10:1", "11:1", "12:1", "13:1", "14:1"]


def test_replies_of_all_tests_stand_below_those_of_one(tmp_path: Path) -> None:
    tests = "replies: {draft: a, escalate: b}\ntests:\n  - {inputs: {ticket: a}, replies: {draft: c}}\n  - {inputs: {ticket: a}}\n"
    one, other = (test.replies for test in suite(tmp_path, tests).tests)
    assert one is not None
    assert other is not None
    assert [one.scripts[step].answers[0].value for step in ("draft", "escalate")] == ["c", "b"]
    assert other.scripts["draft"].answers[0].value == "a"


def test_tests_may_stand_in_the_flow_itself(tmp_path: Path) -> None:
    write(tmp_path, flow=SAY + "tests:\n  - inputs: {word: a}\n    assert: [{contains: a}]\n", name="say")
    found = load(tmp_path / "say.flow.yaml", cwd=tmp_path).suite
    assert found is not None
    assert [case.id for case in found.cases()] == ["say.flow.yaml::1"]
    write(tmp_path, flow=SAY + "tests:\n  replies: {say: b}\n  tests: [{inputs: {word: a}, name: two}]\n", name="say")
    found = load(tmp_path / "say.flow.yaml", cwd=tmp_path).suite
    assert found is not None
    assert [case.id for case in found.cases()] == ["say.flow.yaml::two"]


def test_a_file_of_tests_names_another_flow(tmp_path: Path) -> None:
    write(tmp_path, "flow: say.flow.yaml\ntests: [{inputs: {word: a}}]", name="triage", say__flow__yaml=SAY)
    found = load(tmp_path / "triage.test.yaml", cwd=tmp_path).suite
    assert found is not None
    assert found.plan.name == "say"


def test_tests_without_a_flow_say_so(tmp_path: Path) -> None:
    (tmp_path / "lost.test.yaml").write_text("tests: [{inputs: {}}]\n")
    (found,) = load(tmp_path / "lost.test.yaml", cwd=tmp_path).problems
    assert (found.code, found.place.line) == ("file-not-found", 1)
    assert "lost.flow.yaml" in found.message


def test_what_is_wrong_with_the_flow_is_reported_and_its_tests_are_silent(tmp_path: Path) -> None:
    path = write(tmp_path, "tests: [{inputs: {wurd: 1}}]", flow=SAY.replace("inputs.word", "inputs.wort"), name="say")
    found = load(path, cwd=tmp_path).problems
    assert [(p.place.path, p.code) for p in found if p.severity == "error"] == [("say.flow.yaml", "unknown-field")]


def test_a_flow_that_is_no_yaml_is_no_flow_without_tests(tmp_path: Path) -> None:
    write(tmp_path, flow=SAY + "tests: [{inputs: {word: a}}\n", name="say")
    found = load(tmp_path / "say.flow.yaml", cwd=tmp_path)
    assert found.errors


@pytest.mark.parametrize(
    ("tests", "wanted"),
    [
        ("", "1:1 missing-key the file holds no tests; write tests: and a list of them"),
        ("tests: []", "1:8 out-of-range"),
        ("tests: {a: b}", "1:8 wrong-type"),
        ("tests: [a]", "1:9 wrong-type test 1 must be a mapping, not 'a'; write keys such as `inputs:` and `assert:`"),
        ("a", "1:1 wrong-type 'tests' must be a mapping, not 'a'"),
        ("flow: 5\ntests: []", "1:7 wrong-type"),
        ("flow: none.flow.yaml\ntests: []", "1:7 file-not-found"),
        ("tests: [{data: 5}]", "1:16 wrong-type"),
        ("tests: [{data: {columns: {ticket: a}}}]", "1:16 missing-key"),
        ("tests: [{data: [a]}]", "1:17 wrong-type"),
        ("tests: [{data: [{ticket: a}], inputs: {tne: formal}}]", "1:40 test-input"),
        ("tests: [{data: r.csv}]", "1:16 test-data 'r.csv': the header in line 1 names the column 'a' twice"),
        ("metrics: {m: {expr: row.x}}\ntests: [{inputs: {ticket: a}}]", "1:21 unknown-name"),
        ("tests: [{inputs: {ticket: a}, uses: bad.flow.yaml}]", "bad.flow.yaml"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_told_where(tmp_path: Path, tests: str, wanted: str) -> None:
    found = problems(tmp_path, tests, r__csv="a,a\n1,2\n", bad__flow__yaml="flowkit: 1\nsteps: {a: {}}\n")
    first = f"{found[0].place.line}:{found[0].place.column} {found[0].code} {found[0].message}; {found[0].hint}"
    assert (found[0].place.path if wanted.endswith(".yaml") else first).startswith(wanted)


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    (found,) = load(tmp_path / "none.test.yaml", cwd=tmp_path).problems
    assert found.code == "file-not-found"


def test_mocks_and_replies_may_stand_in_files(tmp_path: Path) -> None:
    tests = "tests: [{inputs: {ticket: a}, mock: given.yaml, replies: replies.yaml}]"
    found = suite(tmp_path, tests, given__yaml="extract: {kind: bug, issues: []}\n")
    assert found.tests[0].mock == {"extract": {"kind": "bug", "issues": []}}
    assert {path.name for path in found.files} == {"triage.test.yaml", "triage.flow.yaml", "given.yaml", "replies.yaml"}


def test_the_tests_of_a_flow_name_no_flow(tmp_path: Path) -> None:
    write(tmp_path, flow=SAY + "tests: {flow: a.flow.yaml, tests: [{inputs: {word: a}}]}\n", name="say")
    (found,) = load(tmp_path / "say.flow.yaml", cwd=tmp_path).problems
    assert (found.code, found.hint) == ("unknown-key", "they are of this very flow")


def test_two_tests_of_one_name_are_a_mistake(tmp_path: Path) -> None:
    found = said(
        tmp_path,
        "tests:\n  - {name: a, inputs: {ticket: a}}\n  - {name: a, inputs: {ticket: b}}\n  - {name: 'a::b', inputs: {ticket: b}}\n",
    )
    assert [each.split()[:2] for each in found] == [["3:12", "test-name"], ["4:12", "test-name"]]


def test_a_judge_gets_what_it_takes(tmp_path: Path) -> None:
    judge = "flowkit: 1\ninputs: {text: string, n: integer}\ndefaults: {model: openai/m}\nsteps: {rate: {prompt: '{{ inputs.text }}{{ inputs.n }}', output: {score: number}}}\noutputs: steps.rate.output\n"
    head = "tests:\n  - inputs: {ticket: a}\n    uses: judge.flow.yaml\n"
    found = said(tmp_path, head + "    with: {text: outputs.kind, m: 1}\n", judge__flow__yaml=judge)
    assert [each.split(";")[0] for each in found] == [
        "4:11 missing-argument the judge 'judge' needs 'n'",
        "4:32 unknown-argument the judge 'judge' takes no 'm'",
    ]
    found = said(
        tmp_path, head + "    with: {text: outputs.kind, n: outputs.kind}\n    assert: [{expr: judge.scor > 1}]\n", judge__flow__yaml=judge
    )
    assert [each.split()[1] for each in found] == ["type-mismatch", "unknown-field"]


def test_every_combination_of_the_matrix_is_a_case(tmp_path: Path) -> None:
    tests = "matrix: {models: [openai/a, openai/b], variants: {draft: [base, short]}}\ntests: [{inputs: {ticket: a}}]"
    cases = suite(tmp_path, tests).cases()
    assert [case.name for case in cases] == ["1[openai/a,base]", "1[openai/a,short]", "1[openai/b,base]", "1[openai/b,short]"]
    assert cases[3].column.models == {"openai/m": "openai/b"}
    assert cases[3].plan.steps["draft"].variant == "short"
