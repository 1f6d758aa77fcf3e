"""The keys of tests of flows, under `tests` in a flow file and in `*.test.yaml`, as tables. Knows not what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from flowkit.errors import Kind
from flowkit.keys.shapes import (
    ANY,
    BOOLEAN,
    COUNT,
    DURATION,
    EXPRESSION,
    PATH,
    WORD,
    Key,
    Table,
    either,
    integer,
    list_of,
    map_of,
    number,
    table,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORDS = either(WORD, list_of(WORD))
_LISTS = list_of(either(WORD, number()))
_MODELS = either(list_of(WORD), map_of(list_of(WORD)))
_DATA = either(PATH, list_of(map_of(ANY)), table("data"))
_REPLIES = either(PATH, map_of(ANY))
_RANGE = table("range")
_RATE = number(0, 1)

_REPLIES_KEY = Key(
    "replies",
    _REPLIES,
    "What a simulated server says, in place or in a file, as for `--simulate`; then no model is asked. `judge/STEP` and `llm-rubric` too.",
    "replies: replies.yaml",
)
_MATRIX_KEY = Key("matrix", table("matrix"), "Models and variants; every case runs with each.", "matrix: {models: [openai/gpt-4.1-mini]}")
_METRICS_KEY = Key(
    "metrics",
    map_of(table("metric")),
    "Numbers over all cases, with bounds.",
    "metrics: {accuracy: {expr: outputs.kind == row.kind, at_least: 0.9}}",
)

SUITE = Table(
    "suite",
    "A file of tests",
    "Tests stand under `tests` of a flow, or beside it in a file `*.test.yaml`. With these keys `tests` of a flow may be a mapping too.",
    (
        Key("flow", PATH, "The flow; of a `*.test.yaml` alone. Default: the flow beside it of the same name.", "flow: triage.flow.yaml"),
        Key("tests", list_of(table("test")), "The tests.", "tests: [{inputs: {ticket: It crashes.}}]", required=True),
        _REPLIES_KEY,
        _MATRIX_KEY,
        _METRICS_KEY,
    ),
    meant={"cases": "tests", "scenarios": "tests", "prompt": "flow", "file": "flow", "simulate": "replies", "mocks": "replies"},
    hints={
        "flowkit": "a file of tests begins with `flow:` or `tests:`",
        "providers": "models to compare stand under `matrix: {models: […]}`",
        "models": "models to compare stand under `matrix: {models: […]}`",
        "variants": "variants to compare stand under `matrix: {variants: {step: […]}}`",
        "assert": "assertions stand in a test: `tests: [{assert: […]}]`",
        "inputs": "inputs stand in a test: `tests: [{inputs: {…}}]`",
        "data": "rows stand in a test: `tests: [{data: rows.jsonl}]`",
    },
)

TEST = Table(
    "test",
    "A test",
    "One run of the flow, or one for each row of its data, and what must hold of it.",
    (
        Key("name", WORD, "What it is called in reports and by `-k`. Default: its number.", "name: an outage is escalated"),
        Key("inputs", map_of(ANY), "The inputs of the flow; for all rows where there are data.", "inputs: {ticket: It crashes.}"),
        Key(
            "data",
            _DATA,
            "One case for each row: a file of JSON lines or CSV, or the rows. Columns named as inputs are inputs; all are read as `row`.",
            "data: tickets.jsonl",
        ),
        Key(
            "mock",
            either(PATH, map_of(ANY)),
            "Outputs of steps that do not run, by step; each must have the step's type. Or a file of them.",
            "mock: {extract: {language: en, issues: []}}",
        ),
        _REPLIES_KEY,
        Key("assert", list_of(table("assertion")), "What must hold.", "assert: [{contains: refund}]"),
        Key("error", either(words(*get_args(Kind)), table("error")), "The run must fail, with this kind.", "error: invalid_output"),
        Key("repeat", COUNT, "How often each case runs.", "repeat: 5"),
        Key("pass_rate", _RATE, "The share of the repeats that must pass. Default: 1.", "pass_rate: 0.8"),
        Key("tags", _WORDS, "Words for `--tag`.", "tags: [slow]"),
        Key("uses", PATH, "A flow that judges each case; assertions and metrics read its outputs as `judge`.", "uses: judge.flow.yaml"),
        Key(
            "with",
            map_of(EXPRESSION),
            "Inputs of that flow: expressions over `inputs`, `outputs`, `steps`, `row`.",
            "with: {text: outputs.reply}",
        ),
        _METRICS_KEY,
        _MATRIX_KEY,
    ),
    meant={
        "vars": "inputs",
        "input": "inputs",
        "given": "inputs",
        "asserts": "assert",
        "assertions": "assert",
        "expect": "assert",
        "expects": "assert",
        "rows": "data",
        "dataset": "data",
        "mocks": "mock",
        "stub": "mock",
        "description": "name",
        "title": "name",
        "id": "name",
        "times": "repeat",
        "tag": "tags",
        "judge": "uses",
        "raises": "error",
        "simulate": "replies",
    },
    hints={
        "expected": "write what must hold under `assert`: `assert: [{equals: …}]`",
        "threshold": "it stands beside its assertion; of repeats it is `pass_rate`",
        "outputs": "outputs of steps that shall not run stand under `mock`; what is expected stands under `assert`",
        "model": "models stand under `matrix: {models: […]}`, or -m ALIAS=MODEL",
    },
)

ROLES = ("system", "developer", "user", "assistant", "tool")


def _negated(*keys: Key) -> tuple[Key, ...]:
    return tuple(Key(f"not-{key.name}", key.shape, f"The opposite of `{key.name}`.", f"not-{key.example}") for key in keys)


_EQUALS = Key("equals", ANY, "It is this value.", "equals: billing")
_OF_TEXT = (
    Key("contains", WORD, "The text holds this one.", "contains: refund"),
    Key("icontains", WORD, "The same, whatever the case of letters.", "icontains: Refund"),
    Key("starts-with", WORD, "The text begins so.", "starts-with: Dear"),
    Key("regex", WORD, "The regular expression is found in the text.", "regex: '[A-Z]{2}-[0-9]+'"),
)
_SETS = (
    Key("contains-all", _LISTS, "The text holds all of these.", "contains-all: [refund, days]"),
    Key("contains-any", _LISTS, "The text holds one of these.", "contains-any: [refund, money back]"),
)

ASSERTION = Table(
    "assertion",
    "An assertion",
    "One word that says what must hold, and where. The value is the outputs; of a flow with one output, that one.",
    (
        _EQUALS,
        *_OF_TEXT,
        *_SETS,
        *_negated(_EQUALS, *_OF_TEXT),
        Key("is-json", either(BOOLEAN, map_of(ANY)), "The text is JSON; with a JSON Schema, of that form.", "is-json: true"),
        Key("similar", WORD, "The text is like this one: difflib's ratio is at least `threshold`, by default 0.75.", "similar: Hello Ada"),
        Key("llm-rubric", WORD, "A model finds that the value is so; see `model`, `threshold`.", "llm-rubric: Is polite."),
        Key("python", WORD, "A function of `(value, case)` returns true, a score, or `{pass, score, reason}`.", "python: checks:polite"),
        Key("expr", EXPRESSION, "An expression over `inputs`, `outputs`, `steps`, `row`, `judge` is true.", "expr: outputs.score > 3"),
        Key("skipped", _WORDS, "The step was skipped.", "skipped: escalate"),
        Key("not-skipped", _WORDS, "The step ran.", "not-skipped: escalate"),
        Key("called", either(integer(0), _RANGE), "So many requests of `step`, or of all; tries and re-asks count.", "called: 2"),
        Key(
            "messages",
            either(WORD, table("message_test"), list_of(either(WORD, table("message_test")))),
            "What `step` sends: a text that is found in it, or more. Needs no call.",
            "messages: {role: system, contains: formal}",
        ),
        Key("cost", number(0), "The run costs at most so many US dollars.", "cost: 0.01"),
        Key("latency", DURATION, "The run takes at most so long.", "latency: 5s"),
        Key("step", WORD, "Look at the output of this step, `step/inner` in a sub-flow, not at the outputs.", "step: extract"),
        Key("path", WORD, "Look at a part of the value.", "path: issues[0].title"),
        Key(
            "item",
            COUNT,
            "Of a `foreach`: what was sent for this item, from 1; default: each. Or the output in this run of a sub-flow.",
            "item: 1",
        ),
        Key("threshold", _RATE, "The least score of `similar`, `llm-rubric`, `python`.", "threshold: 0.8"),
        Key("model", WORD, "The model that judges. Default: the alias `judge`.", "model: openai/gpt-4.1"),
    ),
    meant={
        "equal": "equals",
        "is": "equals",
        "eq": "equals",
        "includes": "contains",
        "matches": "regex",
        "not_contains": "not-contains",
        "startswith": "starts-with",
        "levenshtein": "similar",
        "rubric": "llm-rubric",
        "model-graded-closedqa": "llm-rubric",
        "expression": "expr",
        "calls": "called",
        "prompt": "messages",
        "max_cost": "cost",
        "provider": "model",
        "judge": "model",
        "output": "path",
        "in": "path",
    },
    hints={
        "type": "the word itself is the key: `contains: refund`",
        "value": "the word itself is the key: `contains: refund`",
        "javascript": "write `expr: …`, or `python: module:function`",
        "role": "it stands under `messages`: `messages: {role: user, contains: …}`",
        "weight": "assertions have no weights; all must hold",
    },
    lacking="write a word such as `contains: …`",
)

MESSAGE_TEST = Table(
    "message_test",
    "Messages of a step",
    "What one of the messages must be; with `not-` what none is. `roles` is of all messages.",
    (
        Key("role", words(*ROLES), "Look at messages of this role alone.", "role: system"),
        Key("at", integer(), "Look at this message alone: 0 is the first, -1 the last.", "at: -1"),
        Key("equals", WORD, "It is this text.", "equals: Hello Ada"),
        *_OF_TEXT,
        *_negated(Key("equals", WORD, "", "equals: Hello"), *_OF_TEXT),
        Key("roles", list_of(words(*ROLES)), "The roles of all messages, in order.", "roles: [system, user]"),
    ),
    meant={"text": "contains", "content": "contains", "matches": "regex", "index": "at"},
    lacking="write what it holds: `contains: …`",
)

RANGE = Table(
    "range",
    "Bounds",
    "At least one of them.",
    (Key("at_least", number(), "No less.", "at_least: 1"), Key("at_most", number(), "No more.", "at_most: 3")),
    meant={"min": "at_least", "max": "at_most", "gte": "at_least", "lte": "at_most"},
)

METRIC = Table(
    "metric",
    "A metric",
    "One number for each case, and what becomes of them; true counts as 1, false as 0.",
    (
        Key("expr", EXPRESSION, "The number of one case, over `inputs`, `outputs`, `steps`, `row`, `judge`.", "expr: judge.score"),
        Key(
            "aggregate",
            WORD,
            "`mean` (default), `rate` (the share that is true), `min`, `max`, `p90`, or `module:function` of a list.",
            "aggregate: p90",
        ),
        Key("at_least", number(), "It fails below.", "at_least: 0.9"),
        Key("at_most", number(), "It fails above.", "at_most: 3"),
    ),
    meant={"min": "at_least", "max": "at_most", "threshold": "at_least", "value": "expr", "aggregation": "aggregate"},
)

DATA = Table(
    "data",
    "Rows of a file",
    "A file whose columns are called otherwise than the inputs.",
    (
        Key("file", PATH, "JSON lines, or CSV with a first line of names.", "file: tickets.csv", required=True),
        Key("columns", map_of(WORD), "Columns by input.", "columns: {ticket: message}"),
    ),
    meant={"path": "file", "mapping": "columns", "map": "columns"},
)

MATRIX = Table(
    "matrix",
    "A matrix",
    "Every combination is a column of the table of results.",
    (
        Key("models", _MODELS, "Models in the place of all of the flow's, or by alias.", "models: {fast: [openai/gpt-4.1-mini]}"),
        Key(
            "variants",
            map_of(list_of(WORD)),
            "Variants by step; `base` is the step as written.",
            "variants: {draft: [base, short]}",
        ),
    ),
    meant={"model": "models", "providers": "models", "variant": "variants", "steps": "variants"},
)

ERROR = Table(
    "error",
    "An expected error",
    "How the run must fail.",
    (
        Key("kind", words(*get_args(Kind)), "The kind of the error.", "kind: invalid_output"),
        Key("step", WORD, "The step that fails.", "step: extract"),
        Key("contains", WORD, "The message holds this.", "contains: severity"),
    ),
    meant={"message": "contains", "code": "kind", "type": "kind"},
)

TABLES: Mapping[str, Table] = {t.name: t for t in (SUITE, TEST, ASSERTION, MESSAGE_TEST, RANGE, METRIC, DATA, MATRIX, ERROR)}

__all__ = ["ROLES", "TABLES"]
