"""Codes of what templates and expressions read, against the types of what they name."""

from __future__ import annotations

from flowkit.codes.code import Code, Example

_of = Code.of


def _prompt(text: str, inputs: str = "inputs: {q: string}\n", files: dict[str, str] | None = None) -> Example:
    return Example(f"{inputs}steps:\n  reply:\n    prompt: '{text}'", files or {})


_ISSUES = "inputs: {issues: list(string)}\n"
_KIND = "inputs: {kind: enum(bug | question)}\n"
_MAYBE = "inputs: {q?: string}\n"

CODES: tuple[Code, ...] = (
    _of("unknown-name", "A name that nothing gives.", _prompt("{{ q }}"), _prompt("{{ inputs.q }}")),
    _of(
        "unknown-step",
        "A step that is not there.",
        'steps:\n  draft:\n    prompt: Hello.\n  reply:\n    prompt: "{{ steps.darft.output }}"',
        'steps:\n  draft:\n    prompt: Hello.\n  reply:\n    prompt: "{{ steps.draft.output }}"',
    ),
    _of("unknown-field", "A field that the value does not have.", _prompt("{{ inputs.question }}"), _prompt("{{ inputs.q }}")),
    _of("no-field", "A field of something that has none, such as a text or a list.", _prompt("{{ inputs.q.subject }}"), _prompt("{{ inputs.q }}")),
    _of("dynamic-step", "The name of a step is computed, so that nobody can check it.", 'inputs: {q: string}\nsteps:\n  draft:\n    prompt: Hello.\n  reply:\n    prompt: "{{ steps[inputs.q].output }}"', 'inputs: {q: string}\nsteps:\n  draft:\n    prompt: "{{ inputs.q }}"\n  reply:\n    prompt: "{{ steps.draft.output }}"'),
    _of("unhandled-absent", "A value that may be absent is read as if it were there.", _prompt("{{ inputs.q }}", _MAYBE), _prompt("{{ inputs.q | default(\"nothing\") }}", _MAYBE)),
    _of("not-a-value", "A step, a macro or a function stands where a value is needed.", 'steps:\n  draft:\n    prompt: Hello.\n  reply:\n    prompt: "{{ steps.draft }}"', 'steps:\n  draft:\n    prompt: Hello.\n  reply:\n    prompt: "{{ steps.draft.output }}"'),
    _of("not-a-list", "Going through something that is no list.", "inputs: {q: string}\nsteps:\n  reply:\n    foreach: inputs.q\n    prompt: Hello.", "inputs: {q: list(string)}\nsteps:\n  reply:\n    foreach: inputs.q\n    prompt: Hello."),
    _of("no-slice", "A part of something that has no parts.", _prompt("{{ inputs.n[1:] }}", "inputs: {n: integer}\n"), _prompt("{{ inputs.n[1:] }}", "inputs: {n: string}\n")),
    _of("not-a-function", "A value is called.", _prompt("{{ inputs.q() }}"), _prompt("{{ inputs.q }}")),
    _of("comparison", "A comparison that can only have one result, or none.", "inputs: {n: integer}\nsteps:\n  reply:\n    when: inputs.n == '3'\n    prompt: Hello.", "inputs: {n: integer}\nsteps:\n  reply:\n    when: inputs.n == 3\n    prompt: Hello."),
    _of("enum-word", "A comparison with a word that the enum does not hold.", _KIND + "steps:\n  reply:\n    when: inputs.kind == 'bugs'\n    prompt: Hello.", _KIND + "steps:\n  reply:\n    when: inputs.kind == 'bug'\n    prompt: Hello."),
    _of("arithmetic", "Arithmetic on what is no number.", _prompt("{{ inputs.q + 1 }}"), _prompt("{{ inputs.q ~ 1 }}")),
    _of("unknown-filter", "A filter that does not exist.", _prompt("{{ inputs.q | uper }}"), _prompt("{{ inputs.q | upper }}")),
    _of("unknown-test", "A test that does not exist.", _prompt("{% if inputs.q is defind %}Hello.{% endif %}"), _prompt("{% if inputs.q is defined %}Hello.{% endif %}")),
    _of("filter-input", "A filter gets what it cannot work on.", _prompt("{{ inputs.issues | sum }}", _ISSUES), _prompt("{{ inputs.issues | length }}", _ISSUES)),
    _of(
        "macro-call",
        "A call that does not fit its macro.",
        "inputs: {q: string}\nsteps:\n  reply:\n    prompt: |\n      {% macro ask(text) %}Q: {{ text }}{% endmacro %}\n      {{ ask(inputs.q, 1) }}",
        "inputs: {q: string}\nsteps:\n  reply:\n    prompt: |\n      {% macro ask(text) %}Q: {{ text }}{% endmacro %}\n      {{ ask(inputs.q) }}",
    ),
    _of(
        "unknown-macro",
        "The other file has no such macro.",
        _prompt('{% from "ask.md" import aks %}{{ aks(inputs.q) }}', files={"ask.md": "{% macro ask(text) %}Q: {{ text }}{% endmacro %}\n"}),
        _prompt('{% from "ask.md" import ask %}{{ ask(inputs.q) }}', files={"ask.md": "{% macro ask(text) %}Q: {{ text }}{% endmacro %}\n"}),
    ),
    _of("dynamic-include", "The name of an included file is computed.", _prompt("{% include inputs.q %}"), _prompt('{% if inputs.q %}{% include "rules.md" %}{% endif %}', files={"rules.md": "Be short.\n"})),
    _of(
        "include-cycle",
        "A file includes itself.",
        _prompt('{% include "rules.md" %}', "", {"rules.md": 'Be short. {% include "rules.md" %}\n'}),
        _prompt('{% include "rules.md" %}', "", {"rules.md": "Be short.\n"}),
    ),
)
