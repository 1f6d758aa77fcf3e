"""Codes of what a flow names outside itself, and of the flow as a whole."""

from __future__ import annotations

from flowkit.codes.code import Code, Example

_of = Code.of

_CHILD = {"child.flow.yaml": 'flowkit: 1\ninputs: {text: string}\nsteps: {say: {set: inputs.text}}\n'}


def _uses(given: str, files: dict[str, str] | None = None, name: str = "child.flow.yaml") -> Example:
    return Example(f"steps:\n  part:\n    uses: {name}\n    with: {given}", _CHILD if files is None else files)


def _nested() -> dict[str, str]:
    inner = {f"f{n}.flow.yaml": f"flowkit: 1\nsteps: {{next: {{uses: f{n + 1}.flow.yaml}}}}\n" for n in range(25)}
    return inner | {"f25.flow.yaml": "flowkit: 1\nsteps: {end: {set: 1}}\n"}


_SHOP = {"shop.py": "def price(name: str, many: int = 1) -> float:\n    return 2.5 * many\n"}

CODES: tuple[Code, ...] = (
    _of("file-not-found", "A file that is not there.", _uses("{text: \"'a'\"}", {}), _uses("{text: \"'a'\"}")),
    _of("path-escape", "A path that leaves the project.", "steps:\n  part:\n    uses: ../child.flow.yaml", _uses("{text: \"'a'\"}")),
    _of(
        "not-a-file",
        "A folder, or no regular file.",
        Example('values:\n  notes: {file: notes}\nsteps: {reply: {prompt: "{{ values.notes }}"}}', {"notes/a.txt": "a\n"}),
        Example('values:\n  notes: {file: notes/a.txt}\nsteps: {reply: {prompt: "{{ values.notes }}"}}', {"notes/a.txt": "a\n"}),
    ),
    _of(
        "unreadable-file",
        "A file that the system does not let us read.",
        Example('values:\n  notes: {file: ' + "n" * 300 + '.txt}\nsteps: {reply: {prompt: "{{ values.notes }}"}}', words="`file:` with a name of 304 letters."),
        Example('values:\n  notes: {file: notes.txt}\nsteps: {reply: {prompt: "{{ values.notes }}"}}', {"notes.txt": "a\n"}),
    ),
    _of(
        "bad-path",
        "Not a path.",
        'values:\n  notes: {file: "a\\0b.txt"}\nsteps: {reply: {prompt: "{{ values.notes }}"}}',
        Example('values:\n  notes: {file: notes.txt}\nsteps: {reply: {prompt: "{{ values.notes }}"}}', {"notes.txt": "a\n"}),
    ),
    _of("flow-cycle", "A flow uses itself, directly or by another.", _uses("{}", {"child.flow.yaml": "flowkit: 1\nsteps: {again: {uses: child.flow.yaml}}\n"}), _uses("{text: \"'a'\"}")),
    _of("flow-depth", "Sub-flows of sub-flows, more than 20 deep.", Example("steps: {next: {uses: f0.flow.yaml}}", _nested(), words="Twenty-six flows, each a sub-flow of the one before."), _uses("{text: \"'a'\"}")),
    _of("unknown-argument", "An argument that the sub-flow or function does not take.", _uses("{text: \"'a'\", tone: 1}"), _uses("{text: \"'a'\"}")),
    _of("missing-argument", "An argument that the sub-flow or function needs.", _uses("{}"), _uses("{text: \"'a'\"}")),
    _of("type-mismatch", "A value of another type than what takes it.", _uses("{text: 5}"), _uses("{text: \"'5'\"}")),
    _of("unknown-module", "A Python module that is not there.", Example("steps:\n  cost:\n    call: shopp:price\n    with: {name: \"'tea'\"}", _SHOP), Example("steps:\n  cost:\n    call: shop:price\n    with: {name: \"'tea'\"}", _SHOP)),
    _of("unknown-function", "A Python function that is not in its module.", Example("steps:\n  cost:\n    call: shop:prise\n    with: {name: \"'tea'\"}", _SHOP), Example("steps:\n  cost:\n    call: shop:price\n    with: {name: \"'tea'\"}", _SHOP)),
    _of("function-name", "Not the name of a Python object.", "types: {Order: shop..models:Order}\nsteps: {reply: {prompt: Which?, output: Order}}", Example("types: {Order: shop:Order}\nsteps: {reply: {prompt: Which?, output: Order}}", {"shop.py": "from dataclasses import dataclass\n\n\n@dataclass\nclass Order:\n    name: str\n"})),
    _of("module-import", "A Python module raises an error while it is imported.", Example("steps:\n  cost:\n    call: shop:price", {"shop.py": "import no_such_module_here\n"}), Example("steps:\n  cost:\n    call: shop:price", {"shop.py": "def price() -> float:\n    return 2.5\n"})),
    _of("cycle", "Steps wait for each other.", 'steps:\n  a:\n    prompt: "{{ steps.b.output }}"\n  b:\n    prompt: "{{ steps.a.output }}"', 'steps:\n  a:\n    prompt: Hello.\n  b:\n    prompt: "{{ steps.a.output }}"'),
    _of("unknown-model", "A model that nobody defines. A warning for a bare name where no alias exists at all, for it may be defined elsewhere.", "steps:\n  reply:\n    model: opnai/gpt-4.1\n    prompt: Hello.", "steps:\n  reply:\n    model: openai/gpt-4.1\n    prompt: Hello."),
    _of("model-settings", "A setting of a model that cannot be, in the flow or around it.", Example("defaults: {model: openai/gpt-4.1}", env={"OPENAI_BASE_URL": "localhost"}), Example("defaults: {model: openai/gpt-4.1}", env={"OPENAI_BASE_URL": "http://localhost:8000/v1"})),
    _of("no-model", "A step has no model; one may still come from the command line.", "defaults: {params: {temperature: 0}}", "defaults: {model: openai/gpt-4.1-mini}"),
    _of("unused-input", "An input that nothing reads.", "inputs: {q: string}", 'inputs: {q: string}\nsteps: {reply: {prompt: "{{ inputs.q }}"}}'),
    _of("unused-value", "A constant that nothing reads.", "values: {most: 3}", 'values: {most: 3}\nsteps: {reply: {prompt: "{{ values.most }}"}}'),
    _of("unused-type", "A type that nothing uses.", "types: {Kind: enum(bug | question)}", "types: {Kind: enum(bug | question)}\nsteps: {reply: {prompt: Which?, output: Kind}}"),
    _of(
        "unread-step",
        "A step is paid for, and nothing reads its answer.",
        "steps:\n  draft:\n    prompt: Hello.\n  reply:\n    prompt: Hello again.\noutputs: {reply: steps.reply.output}",
        "steps:\n  reply:\n    prompt: Hello again.\noutputs: {reply: steps.reply.output}",
    ),
)
