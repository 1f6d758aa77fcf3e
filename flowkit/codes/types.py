"""Codes of types, and of data that must have one."""

from __future__ import annotations

from flowkit.codes.code import Code, Example

_of = Code.of

CODES: tuple[Code, ...] = (
    _of(
        "duplicate-field",
        "A field stands twice, once with `?`.",
        """
        steps:
          reply:
            prompt: Hello.
            output: {word: string, word?: string}
        """,
        """
        steps:
          reply:
            prompt: Hello.
            output: {word?: string}
        """,
    ),
    _of(
        "endless-type",
        "A record that must contain itself.",
        """
        types:
          Part: {part: Part}
        steps:
          reply:
            prompt: Hello.
            output: Part
        """,
        """
        types:
          Part: {parts: list(Part)}
        steps:
          reply:
            prompt: Hello.
            output: Part
        """,
    ),
    _of(
        "invalid-default",
        "A default that does not have its type.",
        """
        inputs:
          tone: {type: enum(formal | friendly), default: freindly}
        steps: {reply: {prompt: "{{ inputs.tone }}"}}
        """,
        """
        inputs:
          tone: {type: enum(formal | friendly), default: friendly}
        steps: {reply: {prompt: "{{ inputs.tone }}"}}
        """,
    ),
    _of(
        "invalid-example",
        "An answer in an example that does not have the type of the step.",
        """
        steps:
          reply:
            prompt: It crashes.
            output: enum(bug | question)
            examples:
              - {user: How?, assistant: qestion}
        """,
        """
        steps:
          reply:
            prompt: It crashes.
            output: enum(bug | question)
            examples:
              - {user: How?, assistant: question}
        """,
    ),
    _of(
        "invalid-value",
        "A constant that does not have its type.",
        """
        values:
          most: {type: integer, value: "3"}
        steps: {reply: {prompt: "{{ values.most }}"}}
        """,
        """
        values:
          most: {type: integer, value: 3}
        steps: {reply: {prompt: "{{ values.most }}"}}
        """,
    ),
    _of(
        "json-syntax",
        "A file is not JSON.",
        Example(
            """
            values:
              shops: {file: shops.json}
            steps: {reply: {prompt: "{{ values.shops }}"}}
            """,
            {"shops.json": "[1, 2"},
        ),
        Example(
            """
            values:
              shops: {file: shops.json}
            steps: {reply: {prompt: "{{ values.shops }}"}}
            """,
            {"shops.json": "[1, 2]"},
        ),
    ),
    _of(
        "type-enum",
        "Words of an enum that cannot be.",
        """
        steps:
          reply:
            prompt: Hello.
            output: enum(yes, no)
        """,
        """
        steps:
          reply:
            prompt: Hello.
            output: enum(yes | no)
        """,
    ),
    _of(
        "type-range",
        "Bounds that cannot be.",
        """
        steps:
          reply:
            prompt: Hello.
            output: integer(5..1)
        """,
        """
        steps:
          reply:
            prompt: Hello.
            output: integer(1..5)
        """,
    ),
    _of(
        "type-syntax",
        "Not the spelling of a type.",
        """
        steps:
          reply:
            prompt: Hello.
            output: list(string
        """,
        """
        steps:
          reply:
            prompt: Hello.
            output: list(string)
        """,
    ),
    _of(
        "unknown-type",
        "A type that nobody defines.",
        """
        steps:
          reply:
            prompt: Hello.
            output: strng
        """,
        """
        steps:
          reply:
            prompt: Hello.
            output: string
        """,
    ),
    _of(
        "unsupported-schema",
        "A JSON Schema that says more than a type can.",
        Example(
            """
            types: {Place: place.schema.json}
            steps: {reply: {prompt: Where?, output: Place}}
            """,
            {"place.schema.json": '{"type": "object", "properties": {"x": {"type": "number", "multipleOf": 2}}}'},
        ),
        Example(
            """
            types: {Place: place.schema.json}
            steps: {reply: {prompt: Where?, output: Place}}
            """,
            {"place.schema.json": '{"type": "object", "properties": {"x": {"type": "number"}}}'},
        ),
    ),
    _of(
        "wrong-pattern",
        "Not a regular expression.",
        """
        inputs:
          code: {type: string, pattern: "[A-Z"}
        steps: {reply: {prompt: "{{ inputs.code }}"}}
        """,
        """
        inputs:
          code: {type: string, pattern: "[A-Z]"}
        steps: {reply: {prompt: "{{ inputs.code }}"}}
        """,
    ),
)
