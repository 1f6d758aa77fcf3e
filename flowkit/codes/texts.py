"""Codes of texts and expressions as they are written."""

from __future__ import annotations

from flowkit.codes.code import Code

_of = Code.of

CODES: tuple[Code, ...] = (
    _of(
        "bare-reference",
        "A text that is exactly a reference; probably its value was meant.",
        """
        steps:
          draft:
            prompt: Hello.
          reply:
            prompt: steps.draft.output
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
        "braces-in-expression",
        "An expression takes no braces.",
        """
        inputs: {deep: boolean}
        steps:
          reply:
            when: "{{ inputs.deep }}"
            prompt: Hello.
        """,
        """
        inputs: {deep: boolean}
        steps:
          reply:
            when: inputs.deep
            prompt: Hello.
        """,
    ),
    _of(
        "comment-cuts-text",
        "A `#` behind a blank cuts off a text that stands without quotes.",
        """
        steps:
          reply:
            prompt: Close ticket #42 now
        """,
        """
        steps:
          reply:
            prompt: "Close ticket #42 now"
        """,
    ),
    _of(
        "dollar-braces",
        "The braces of another tool.",
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: "${{ inputs.q }}"
        """,
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: "{{ inputs.q }}"
        """,
    ),
    _of(
        "empty-expression",
        "An expression key without an expression.",
        """
        steps:
          reply:
            when:
            prompt: Hello.
        """,
        """
        steps:
          reply:
            when: true
            prompt: Hello.
        """,
    ),
    _of(
        "empty-text",
        "A text key without a text.",
        """
        steps:
          reply:
            prompt:
        """,
        """
        steps:
          reply:
            prompt: Hello.
        """,
    ),
    _of(
        "not-text",
        "A text key with something else than text.",
        """
        steps:
          reply:
            prompt: 42
        """,
        """
        steps:
          reply:
            prompt: "42"
        """,
    ),
    _of(
        "single-braces",
        "Words in single braces are text; probably a value was meant.",
        """
        steps:
          draft:
            prompt: Hello.
          reply:
            prompt: Shorten {steps.draft.output}
        """,
        """
        steps:
          draft:
            prompt: Hello.
          reply:
            prompt: "Shorten {{ steps.draft.output }}"
        """,
    ),
    _of(
        "template-limit",
        "A template nests deeper, or makes more, than it may.",
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: "{{ inputs.q | center(10000000) }}"
        """,
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: "{{ inputs.q | center(80) }}"
        """,
    ),
    _of(
        "template-syntax",
        "Not the grammar of Jinja.",
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: "{% if inputs.q %}Hello."
        """,
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: "{% if inputs.q %}Hello.{% endif %}"
        """,
    ),
)
