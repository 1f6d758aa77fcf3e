"""Codes of how the parts of a flow fit together: arguments, models, circles, what nothing reads."""

from __future__ import annotations

from flowkit.codes.code import Code, Example

_of = Code.of

_CHILD = {"child.flow.yaml": "flowkit: 1\ninputs: {text: string}\nsteps: {say: {set: inputs.text}}\n"}

CODES: tuple[Code, ...] = (
    _of(
        "cycle",
        "Steps wait for each other.",
        """
        steps:
          a:
            prompt: "{{ steps.b.output }}"
          b:
            prompt: "{{ steps.a.output }}"
        """,
        """
        steps:
          a:
            prompt: Hello.
          b:
            prompt: "{{ steps.a.output }}"
        """,
    ),
    _of(
        "missing-argument",
        "An argument that the sub-flow or function needs.",
        Example(
            """
            steps:
              part:
                uses: child.flow.yaml
                with: {}
            """,
            _CHILD,
        ),
        Example(
            """
            steps:
              part:
                uses: child.flow.yaml
                with: {text: "'a'"}
            """,
            _CHILD,
        ),
    ),
    _of(
        "model-settings",
        "A setting of a model that cannot be, in the flow or around it.",
        Example(
            "defaults: {model: openai/gpt-4.1}",
            env={"OPENAI_BASE_URL": "localhost"},
        ),
        Example(
            "defaults: {model: openai/gpt-4.1}",
            env={"OPENAI_BASE_URL": "http://localhost:8000/v1"},
        ),
    ),
    _of(
        "no-model",
        "A step has no model; one may still come from the command line.",
        "defaults: {params: {temperature: 0}}",
        "defaults: {model: openai/gpt-4.1-mini}",
    ),
    _of(
        "set-form",
        "What stands behind `--set` is not of the form path=value.",
        Example("name: hello", sets=("name",)),
        Example("name: hello", sets=("name=other",)),
    ),
    _of(
        "set-path",
        "`--set` names a place that is not there.",
        Example("name: hello", sets=("steps.replay.prompt=Hi.",)),
        Example("name: hello", sets=("steps.reply.prompt=Hi.",)),
    ),
    _of(
        "type-mismatch",
        "A value of another type than what takes it.",
        Example(
            """
            steps:
              part:
                uses: child.flow.yaml
                with: {text: 5}
            """,
            _CHILD,
        ),
        Example(
            """
            steps:
              part:
                uses: child.flow.yaml
                with: {text: "'5'"}
            """,
            _CHILD,
        ),
    ),
    _of(
        "unknown-argument",
        "An argument that the sub-flow or function does not take.",
        Example(
            """
            steps:
              part:
                uses: child.flow.yaml
                with: {text: "'a'", tone: 1}
            """,
            _CHILD,
        ),
        Example(
            """
            steps:
              part:
                uses: child.flow.yaml
                with: {text: "'a'"}
            """,
            _CHILD,
        ),
    ),
    _of(
        "unknown-model",
        "A model that nobody defines. A warning for a bare name where no alias exists at all, for it may be defined elsewhere.",
        """
        steps:
          reply:
            model: opnai/gpt-4.1
            prompt: Hello.
        """,
        """
        steps:
          reply:
            model: openai/gpt-4.1
            prompt: Hello.
        """,
    ),
    _of(
        "unread-step",
        "A step is paid for, and nothing reads its answer.",
        """
        steps:
          draft:
            prompt: Hello.
          reply:
            prompt: Hello again.
        outputs: {reply: steps.reply.output}
        """,
        """
        steps:
          reply:
            prompt: Hello again.
        outputs: {reply: steps.reply.output}
        """,
    ),
    _of(
        "unused-input",
        "An input that nothing reads.",
        "inputs: {q: string}",
        """
        inputs: {q: string}
        steps: {reply: {prompt: "{{ inputs.q }}"}}
        """,
    ),
    _of(
        "unused-type",
        "A type that nothing uses.",
        "types: {Kind: enum(bug | question)}",
        """
        types: {Kind: enum(bug | question)}
        steps: {reply: {prompt: Which?, output: Kind}}
        """,
    ),
    _of(
        "unused-value",
        "A constant that nothing reads.",
        "values: {most: 3}",
        """
        values: {most: 3}
        steps: {reply: {prompt: "{{ values.most }}"}}
        """,
    ),
)
