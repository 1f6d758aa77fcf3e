"""Codes of keys and of the plain values under them."""

from __future__ import annotations

from flowkit.codes.code import Code, Example

_of = Code.of

CODES: tuple[Code, ...] = (
    _of(
        "duplicate-param",
        "A parameter stands under `params` and again under `extra_body`.",
        """
        steps:
          reply:
            prompt: Hello.
            params:
              seed: 1
              extra_body: {seed: 2}
        """,
        """
        steps:
          reply:
            prompt: Hello.
            params:
              seed: 1
              extra_body: {top_k: 40}
        """,
    ),
    _of(
        "empty-value",
        "A key with nothing behind it.",
        "description:",
        "description: Says hello.",
    ),
    _of(
        "inline-secret",
        "A key or password stands in the file. Problems never show it.",
        """
        models:
          own: {model: openai/gpt-4.1, api_key: sk-0123456789abcdef0123}
        """,
        """
        models:
          own: {model: openai/gpt-4.1, api_key_env: OPENAI_API_KEY}
        """,
    ),
    _of(
        "invalid-function",
        "Not the name of a function.",
        """
        steps:
          size:
            call: os.path.getsize
        """,
        """
        steps:
          size:
            call: builtins:dict
        """,
    ),
    _of(
        "invalid-id",
        "Not an id of a step.",
        """
        steps:
          first-draft:
            prompt: Hello.
        """,
        """
        steps:
          first_draft:
            prompt: Hello.
        """,
    ),
    _of(
        "invalid-model",
        "Not the name of a model.",
        """
        steps:
          reply:
            model: GPT four
            prompt: Hello.
        """,
        """
        steps:
          reply:
            model: openai/gpt-4.1-mini
            prompt: Hello.
        """,
    ),
    _of(
        "invalid-name",
        "Not a name.",
        """
        inputs: {my topic: string}
        steps: {reply: {prompt: "{{ inputs }}"}}
        """,
        """
        inputs: {my_topic: string}
        steps: {reply: {prompt: "{{ inputs.my_topic }}"}}
        """,
    ),
    _of(
        "invalid-url",
        "Not the address of a server.",
        """
        models:
          own: {model: openai/m, base_url: localhost}
        """,
        """
        models:
          own: {model: openai/m, base_url: http://localhost:8000/v1}
        """,
    ),
    _of(
        "misplaced-key",
        "A key that means nothing here.",
        """
        steps:
          reply:
            prompt: Hello.
            as: topic
        """,
        """
        steps:
          reply:
            foreach: [1, 2]
            as: topic
            prompt: "Hello {{ topic }}."
        """,
    ),
    _of(
        "missing-key",
        "A key that must be there is not.",
        """
        steps:
          reply:
            prompt: Hello.
            repeat: {max: 3}
        """,
        """
        steps:
          reply:
            prompt: Hello.
            repeat: {until: output | length > 3, max: 3}
        """,
    ),
    _of(
        "no-kind",
        "A step does not say what it does.",
        """
        steps:
          reply:
            model: openai/gpt-4.1-mini
        """,
        """
        steps:
          reply:
            prompt: Hello.
        """,
    ),
    _of(
        "not-a-flow",
        "The file is something else than a flow.",
        Example(
            """
            - one
            - two
            """,
            alone=True,
        ),
        Example(
            """
            flowkit: 1
            steps: {reply: {model: openai/gpt-4.1-mini, prompt: Hello.}}
            """,
            alone=True,
        ),
    ),
    _of(
        "out-of-range",
        "A number that is too small or too large.",
        """
        steps:
          reply:
            prompt: Hello.
            params: {temperature: 3}
        """,
        """
        steps:
          reply:
            prompt: Hello.
            params: {temperature: 1.5}
        """,
    ),
    _of(
        "reply-form",
        "Replies of the simulator have no form that is known.",
        Example(
            "reply: {match: Paris, reply: France}",
            replies=True,
        ),
        Example(
            """
            reply:
              - {match: Paris, reply: France}
            """,
            replies=True,
        ),
    ),
    _of(
        "reserved-name",
        "A name that means something already.",
        """
        steps:
          reply:
            foreach: [1, 2]
            as: loop
            prompt: Hello.
        """,
        """
        steps:
          reply:
            foreach: [1, 2]
            as: turn
            prompt: Hello.
        """,
    ),
    _of(
        "reserved-param",
        "A parameter that flowkit writes itself.",
        """
        steps:
          reply:
            prompt: Hello.
            params: {stream: true}
        """,
        """
        steps:
          reply:
            prompt: Hello.
        """,
    ),
    _of(
        "role-as-value",
        "A message writes its role as a value; here it is the key.",
        """
        steps:
          reply:
            messages:
              - role: user
                content: Hello.
        """,
        """
        steps:
          reply:
            messages:
              - user: Hello.
        """,
    ),
    _of(
        "too-many-keys",
        "Two keys where one may stand.",
        """
        steps:
          reply:
            messages:
              - system: Be short.
                user: Hello.
        """,
        """
        steps:
          reply:
            messages:
              - system: Be short.
              - user: Hello.
        """,
    ),
    _of(
        "two-kinds",
        "A step does two things.",
        """
        steps:
          reply:
            prompt: Hello.
            set: {n: 1}
        """,
        """
        steps:
          reply:
            prompt: Hello.
          one:
            set: {n: 1}
        """,
    ),
    _of(
        "unknown-format",
        "The format of the file is none that this flowkit reads.",
        "flowkit: 2",
        "flowkit: 1",
    ),
    _of(
        "unknown-key",
        "A key that has no meaning here.",
        """
        steps:
          reply:
            promt: Hello.
        """,
        """
        steps:
          reply:
            prompt: Hello.
        """,
    ),
    _of(
        "unknown-param",
        "A parameter that the protocol does not have.",
        """
        steps:
          reply:
            prompt: Hello.
            params: {temprature: 0}
        """,
        """
        steps:
          reply:
            prompt: Hello.
            params: {temperature: 0}
        """,
    ),
    _of(
        "unknown-word",
        "A word that is none of the choices.",
        """
        steps:
          reply:
            prompt: Hello.
            on_error: ignore
        """,
        """
        steps:
          reply:
            prompt: Hello.
            on_error: skip
        """,
    ),
    _of(
        "wrong-duration",
        "Not a duration.",
        """
        steps:
          reply:
            prompt: Hello.
            timeout: 30 seconds
        """,
        """
        steps:
          reply:
            prompt: Hello.
            timeout: 30s
        """,
    ),
    _of(
        "wrong-type",
        "A value of another sort than the key takes.",
        """
        steps:
          reply:
            prompt: Hello.
            params: {temperature: cold}
        """,
        """
        steps:
          reply:
            prompt: Hello.
            params: {temperature: 0}
        """,
    ),
)
