"""Codes of what templates and expressions read, against the types of what they name."""

from __future__ import annotations

from flowkit.codes.code import Code, Example

_of = Code.of

CODES: tuple[Code, ...] = (
    _of(
        "arithmetic",
        "Arithmetic on what is no number.",
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: '{{ inputs.q + 1 }}'
        """,
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: '{{ inputs.q ~ 1 }}'
        """,
    ),
    _of(
        "comparison",
        "A comparison that can only have one result, or none.",
        """
        inputs: {n: integer}
        steps:
          reply:
            when: inputs.n == '3'
            prompt: Hello.
        """,
        """
        inputs: {n: integer}
        steps:
          reply:
            when: inputs.n == 3
            prompt: Hello.
        """,
    ),
    _of(
        "dynamic-include",
        "The name of an included file is computed.",
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: '{% include inputs.q %}'
        """,
        Example(
            """
            inputs: {q: string}
            steps:
              reply:
                prompt: '{% if inputs.q %}{% include "rules.md" %}{% endif %}'
            """,
            {"rules.md": "Be short.\n"},
        ),
    ),
    _of(
        "dynamic-step",
        "The name of a step is computed, so that nobody can check it.",
        """
        inputs: {q: string}
        steps:
          draft:
            prompt: Hello.
          reply:
            prompt: "{{ steps[inputs.q].output }}"
        """,
        """
        inputs: {q: string}
        steps:
          draft:
            prompt: "{{ inputs.q }}"
          reply:
            prompt: "{{ steps.draft.output }}"
        """,
    ),
    _of(
        "enum-word",
        "A comparison with a word that the enum does not hold.",
        """
        inputs: {kind: enum(bug | question)}
        steps:
          reply:
            when: inputs.kind == 'bugs'
            prompt: Hello.
        """,
        """
        inputs: {kind: enum(bug | question)}
        steps:
          reply:
            when: inputs.kind == 'bug'
            prompt: Hello.
        """,
    ),
    _of(
        "filter-arguments",
        "A filter gets arguments that it does not take.",
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: "{{ inputs.q | upper(1) }}"
        """,
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: "{{ inputs.q | upper }}"
        """,
    ),
    _of(
        "filter-input",
        "A filter gets what it cannot work on.",
        """
        inputs: {issues: list(string)}
        steps:
          reply:
            prompt: '{{ inputs.issues | sum }}'
        """,
        """
        inputs: {issues: list(string)}
        steps:
          reply:
            prompt: '{{ inputs.issues | length }}'
        """,
    ),
    _of(
        "include-cycle",
        "A file includes itself.",
        Example(
            """
            steps:
              reply:
                prompt: '{% include "rules.md" %}'
            """,
            {"rules.md": 'Be short. {% include "rules.md" %}\n'},
        ),
        Example(
            """
            steps:
              reply:
                prompt: '{% include "rules.md" %}'
            """,
            {"rules.md": "Be short.\n"},
        ),
    ),
    _of(
        "macro-call",
        "A call that does not fit its macro.",
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: |
              {% macro ask(text) %}Q: {{ text }}{% endmacro %}
              {{ ask(inputs.q, 1) }}
        """,
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: |
              {% macro ask(text) %}Q: {{ text }}{% endmacro %}
              {{ ask(inputs.q) }}
        """,
    ),
    _of(
        "no-field",
        "A field of something that has none, such as a text or a list.",
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: '{{ inputs.q.subject }}'
        """,
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: '{{ inputs.q }}'
        """,
    ),
    _of(
        "no-slice",
        "A part of something that has no parts.",
        """
        inputs: {n: integer}
        steps:
          reply:
            prompt: '{{ inputs.n[1:] }}'
        """,
        """
        inputs: {n: string}
        steps:
          reply:
            prompt: '{{ inputs.n[1:] }}'
        """,
    ),
    _of(
        "not-a-function",
        "A value is called.",
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: '{{ inputs.q() }}'
        """,
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: '{{ inputs.q }}'
        """,
    ),
    _of(
        "not-a-list",
        "Going through something that is no list.",
        """
        inputs: {q: string}
        steps:
          reply:
            foreach: inputs.q
            prompt: Hello.
        """,
        """
        inputs: {q: list(string)}
        steps:
          reply:
            foreach: inputs.q
            prompt: Hello.
        """,
    ),
    _of(
        "not-a-value",
        "A step, a macro or a function stands where a value is needed.",
        """
        steps:
          draft:
            prompt: Hello.
          reply:
            prompt: "{{ steps.draft }}"
        """,
        """
        steps:
          draft:
            prompt: Hello.
          reply:
            prompt: "{{ steps.draft.output }}"
        """,
    ),
    _of(
        "unhandled-absent",
        "A value that may be absent is read as if it were there.",
        """
        inputs: {q?: string}
        steps:
          reply:
            prompt: '{{ inputs.q }}'
        """,
        """
        inputs: {q?: string}
        steps:
          reply:
            prompt: '{{ inputs.q | default("nothing") }}'
        """,
    ),
    _of(
        "unknown-field",
        "A field that the value does not have.",
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: '{{ inputs.question }}'
        """,
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: '{{ inputs.q }}'
        """,
    ),
    _of(
        "unknown-filter",
        "A filter that does not exist.",
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: '{{ inputs.q | uper }}'
        """,
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: '{{ inputs.q | upper }}'
        """,
    ),
    _of(
        "unknown-macro",
        "The other file has no such macro.",
        Example(
            """
            inputs: {q: string}
            steps:
              reply:
                prompt: '{% from "ask.md" import aks %}{{ aks(inputs.q) }}'
            """,
            {"ask.md": "{% macro ask(text) %}Q: {{ text }}{% endmacro %}\n"},
        ),
        Example(
            """
            inputs: {q: string}
            steps:
              reply:
                prompt: '{% from "ask.md" import ask %}{{ ask(inputs.q) }}'
            """,
            {"ask.md": "{% macro ask(text) %}Q: {{ text }}{% endmacro %}\n"},
        ),
    ),
    _of(
        "unknown-method",
        "A text or list does not have this method.",
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: "{{ inputs.q.uper() }}"
        """,
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: "{{ inputs.q.upper() }}"
        """,
    ),
    _of(
        "unknown-name",
        "A name that nothing gives.",
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: '{{ q }}'
        """,
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: '{{ inputs.q }}'
        """,
    ),
    _of(
        "unknown-step",
        "A step that is not there.",
        """
        steps:
          draft:
            prompt: Hello.
          reply:
            prompt: "{{ steps.darft.output }}"
        """,
        """
        steps:
          draft:
            prompt: Hello.
          reply:
            prompt: "{{ steps.draft.output }}"
        """,
    ),
    _of(
        "unknown-test",
        "A test that does not exist.",
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: '{% if inputs.q is defind %}Hello.{% endif %}'
        """,
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: '{% if inputs.q is defined %}Hello.{% endif %}'
        """,
    ),
)
