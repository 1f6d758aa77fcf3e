"""Codes of the tests of flows: what they give, what they expect, and of which steps."""

from __future__ import annotations

from flowkit.codes.code import Code, Example

_of = Code.of

#: A flow that tests can be about; the tests of an example stand before it, so that lines keep their numbers.
_RATE = """
inputs: {ticket: string}
steps:
  rate:
    prompt: "{{ inputs.ticket }}"
    output: {kind: enum(bug | question)}
    variants: {short: {prompt: "Shortly: {{ inputs.ticket }}"}}
  sorted: {set: steps.rate.output.kind}
outputs: {kind: steps.sorted.output}
"""


def _tests(text: str, **files: str) -> Example:
    lines = [line[8:] for line in text.strip("\n").split("\n")]
    return Example("\n".join(lines).rstrip() + _RATE, {name.replace("__", "."): held for name, held in files.items()})


CODES: tuple[Code, ...] = (
    _of(
        "assertion-type",
        "An assertion that can never hold, or that says nothing.",
        _tests("""
        tests:
          - inputs: {ticket: It crashes.}
            assert: [{equals: bugs}]
        """),
        _tests("""
        tests:
          - inputs: {ticket: It crashes.}
            assert: [{equals: bug}]
        """),
    ),
    _of(
        "mock-type",
        "A mocked output that does not have the type of its step.",
        _tests("""
        tests:
          - inputs: {ticket: It crashes.}
            mock: {rate: {kind: defect}}
        """),
        _tests("""
        tests:
          - inputs: {ticket: It crashes.}
            mock: {rate: {kind: bug}}
        """),
    ),
    _of(
        "reply-step",
        "A reply to a step that asks no model, or what such a step sends.",
        _tests("""
        tests:
          - inputs: {ticket: It crashes.}
            replies: {sorted: bug}
        """),
        _tests("""
        tests:
          - inputs: {ticket: It crashes.}
            replies: {rate: {kind: bug}}
        """),
    ),
    _of(
        "test-data",
        "Rows of a test that cannot be read, or that are none.",
        _tests(
            """
        tests:
          - data: rows.jsonl
        """,
            rows__jsonl="It crashes.\n",
        ),
        _tests(
            """
        tests:
          - data: rows.jsonl
        """,
            rows__jsonl='{"ticket": "It crashes."}\n',
        ),
    ),
    _of(
        "test-input",
        "Inputs of a test that the flow does not take.",
        _tests("""
        tests:
          - inputs: {ticket: 5}
        """),
        _tests("""
        tests:
          - inputs: {ticket: "5"}
        """),
    ),
    _of(
        "test-name",
        "A name that another test has too, or that cannot stand in an id.",
        _tests("""
        tests:
          - name: a crash
            inputs: {ticket: It crashes.}
          - name: a crash
            inputs: {ticket: It crashed.}
        """),
        _tests("""
        tests:
          - name: a crash
            inputs: {ticket: It crashes.}
          - name: a crash in the past
            inputs: {ticket: It crashed.}
        """),
    ),
    _of(
        "test-path",
        "A path to a part of a value that does not have it.",
        _tests("""
        tests:
          - inputs: {ticket: It crashes.}
            assert: [{equals: bug, path: sort}]
        """),
        _tests("""
        tests:
          - inputs: {ticket: It crashes.}
            assert: [{equals: bug, path: kind}]
        """),
    ),
    _of(
        "unknown-variant",
        "A variant that the step does not have.",
        _tests("""
        tests:
          - inputs: {ticket: It crashes.}
            matrix: {variants: {rate: [base, shrt]}}
        """),
        _tests("""
        tests:
          - inputs: {ticket: It crashes.}
            matrix: {variants: {rate: [base, short]}}
        """),
    ),
)
