"""Codes of the format: keys, values, types, and the texts and names under them."""

from __future__ import annotations

from flowkit.codes.code import Code, Example

_of = Code.of
_STEP = "steps:\n  reply:\n    prompt: Hello.\n"

KEYS: tuple[Code, ...] = (
    _of("not-a-flow", "The file is something else than a flow.", Example("- one\n- two\n", alone=True), Example("flowkit: 1\nsteps: {reply: {model: openai/gpt-4.1-mini, prompt: Hello.}}\n", alone=True)),
    _of("unknown-format", "The format of the file is none that this flowkit reads.", "flowkit: 2", "flowkit: 1"),
    _of("unknown-key", "A key that has no meaning here.", "steps:\n  reply:\n    promt: Hello.", _STEP),
    _of("missing-key", "A key that must be there is not.", "steps:\n  reply:\n    prompt: Hello.\n    repeat: {max: 3}", "steps:\n  reply:\n    prompt: Hello.\n    repeat: {until: output | length > 3, max: 3}"),
    _of("misplaced-key", "A key that means nothing here.", "steps:\n  reply:\n    prompt: Hello.\n    as: topic", 'steps:\n  reply:\n    foreach: [1, 2]\n    as: topic\n    prompt: "Hello {{ topic }}."'),
    _of("too-many-keys", "Two keys where one may stand.", "steps:\n  reply:\n    messages:\n      - system: Be short.\n        user: Hello.", "steps:\n  reply:\n    messages:\n      - system: Be short.\n      - user: Hello."),
    _of("no-kind", "A step does not say what it does.", "steps:\n  reply:\n    model: openai/gpt-4.1-mini", _STEP),
    _of("two-kinds", "A step does two things.", "steps:\n  reply:\n    prompt: Hello.\n    set: {n: 1}", "steps:\n  reply:\n    prompt: Hello.\n  one:\n    set: {n: 1}"),
    _of("role-as-value", "A message writes its role as a value; here it is the key.", "steps:\n  reply:\n    messages:\n      - role: user\n        content: Hello.", "steps:\n  reply:\n    messages:\n      - user: Hello."),
    _of("empty-value", "A key with nothing behind it.", "description:", "description: Says hello."),
    _of("wrong-type", "A value of another sort than the key takes.", "steps:\n  reply:\n    prompt: Hello.\n    params: {temperature: cold}", "steps:\n  reply:\n    prompt: Hello.\n    params: {temperature: 0}"),
    _of("out-of-range", "A number that is too small or too large.", "steps:\n  reply:\n    prompt: Hello.\n    params: {temperature: 3}", "steps:\n  reply:\n    prompt: Hello.\n    params: {temperature: 1.5}"),
    _of("unknown-word", "A word that is none of the choices.", "steps:\n  reply:\n    prompt: Hello.\n    on_error: ignore", "steps:\n  reply:\n    prompt: Hello.\n    on_error: skip"),
    _of("wrong-duration", "Not a duration.", "steps:\n  reply:\n    prompt: Hello.\n    timeout: 30 seconds", "steps:\n  reply:\n    prompt: Hello.\n    timeout: 30s"),
    _of("unknown-param", "A parameter that the protocol does not have.", "steps:\n  reply:\n    prompt: Hello.\n    params: {temprature: 0}", "steps:\n  reply:\n    prompt: Hello.\n    params: {temperature: 0}"),
    _of("reserved-param", "A parameter that flowkit writes itself.", "steps:\n  reply:\n    prompt: Hello.\n    params: {stream: true}", _STEP),
    _of(
        "duplicate-param",
        "A parameter stands under `params` and again under `extra_body`.",
        "steps:\n  reply:\n    prompt: Hello.\n    params:\n      seed: 1\n      extra_body: {seed: 2}",
        "steps:\n  reply:\n    prompt: Hello.\n    params:\n      seed: 1\n      extra_body: {top_k: 40}",
    ),
    _of("invalid-model", "Not the name of a model.", "steps:\n  reply:\n    model: GPT four\n    prompt: Hello.", "steps:\n  reply:\n    model: openai/gpt-4.1-mini\n    prompt: Hello."),
    _of("invalid-url", "Not the address of a server.", "models:\n  own: {model: openai/m, base_url: localhost}", "models:\n  own: {model: openai/m, base_url: http://localhost:8000/v1}"),
    _of("inline-secret", "A key or password stands in the file. Problems never show it.", "models:\n  own: {model: openai/gpt-4.1, api_key: sk-0123456789abcdef0123}", "models:\n  own: {model: openai/gpt-4.1, api_key_env: OPENAI_API_KEY}"),
    _of("invalid-function", "Not the name of a function.", "steps:\n  size:\n    call: os.path.getsize", "steps:\n  size:\n    call: builtins:dict"),
    _of("invalid-id", "Not an id of a step.", "steps:\n  first-draft:\n    prompt: Hello.", "steps:\n  first_draft:\n    prompt: Hello."),
    _of("invalid-name", "Not a name.", 'inputs: {my topic: string}\nsteps: {reply: {prompt: "{{ inputs }}"}}', 'inputs: {my_topic: string}\nsteps: {reply: {prompt: "{{ inputs.my_topic }}"}}'),
    _of("reserved-name", "A name that means something already.", "steps:\n  reply:\n    foreach: [1, 2]\n    as: loop\n    prompt: Hello.", "steps:\n  reply:\n    foreach: [1, 2]\n    as: turn\n    prompt: Hello."),
    _of("unknown-type", "A type that nobody defines.", "steps:\n  reply:\n    prompt: Hello.\n    output: strng", "steps:\n  reply:\n    prompt: Hello.\n    output: string"),
    _of("type-syntax", "Not the spelling of a type.", "steps:\n  reply:\n    prompt: Hello.\n    output: list(string", "steps:\n  reply:\n    prompt: Hello.\n    output: list(string)"),
    _of("type-range", "Bounds that cannot be.", "steps:\n  reply:\n    prompt: Hello.\n    output: integer(5..1)", "steps:\n  reply:\n    prompt: Hello.\n    output: integer(1..5)"),
    _of("type-enum", "Words of an enum that cannot be.", "steps:\n  reply:\n    prompt: Hello.\n    output: enum(yes, no)", "steps:\n  reply:\n    prompt: Hello.\n    output: enum(yes | no)"),
    _of("endless-type", "A record that must contain itself.", "types:\n  Part: {part: Part}\nsteps:\n  reply:\n    prompt: Hello.\n    output: Part", "types:\n  Part: {parts: list(Part)}\nsteps:\n  reply:\n    prompt: Hello.\n    output: Part"),
    _of("duplicate-field", "A field stands twice, once with `?`.", "steps:\n  reply:\n    prompt: Hello.\n    output: {word: string, word?: string}", "steps:\n  reply:\n    prompt: Hello.\n    output: {word?: string}"),
    _of(
        "invalid-default",
        "A default that does not have its type.",
        'inputs:\n  tone: {type: enum(formal | friendly), default: freindly}\nsteps: {reply: {prompt: "{{ inputs.tone }}"}}',
        'inputs:\n  tone: {type: enum(formal | friendly), default: friendly}\nsteps: {reply: {prompt: "{{ inputs.tone }}"}}',
    ),
    _of(
        "invalid-example",
        "An answer in an example that does not have the type of the step.",
        "steps:\n  reply:\n    prompt: It crashes.\n    output: enum(bug | question)\n    examples:\n      - {user: How?, assistant: qestion}",
        "steps:\n  reply:\n    prompt: It crashes.\n    output: enum(bug | question)\n    examples:\n      - {user: How?, assistant: question}",
    ),
    _of("invalid-value", "A constant that does not have its type.", 'values:\n  most: {type: integer, value: "3"}\nsteps: {reply: {prompt: "{{ values.most }}"}}', 'values:\n  most: {type: integer, value: 3}\nsteps: {reply: {prompt: "{{ values.most }}"}}'),
    _of("wrong-pattern", "Not a regular expression.", 'inputs:\n  code: {type: string, pattern: "[A-Z"}\nsteps: {reply: {prompt: "{{ inputs.code }}"}}', 'inputs:\n  code: {type: string, pattern: "[A-Z]"}\nsteps: {reply: {prompt: "{{ inputs.code }}"}}'),
    _of(
        "unsupported-schema",
        "A JSON Schema that says more than a type can.",
        Example("types: {Place: place.schema.json}\nsteps: {reply: {prompt: Where?, output: Place}}", {"place.schema.json": '{"type": "object", "properties": {"x": {"type": "number", "multipleOf": 2}}}'}),
        Example("types: {Place: place.schema.json}\nsteps: {reply: {prompt: Where?, output: Place}}", {"place.schema.json": '{"type": "object", "properties": {"x": {"type": "number"}}}'}),
    ),
    _of(
        "json-syntax",
        "A file is not JSON.",
        Example('values:\n  shops: {file: shops.json}\nsteps: {reply: {prompt: "{{ values.shops }}"}}', {"shops.json": "[1, 2"}),
        Example('values:\n  shops: {file: shops.json}\nsteps: {reply: {prompt: "{{ values.shops }}"}}', {"shops.json": "[1, 2]"}),
    ),
    _of("reply-form", "Replies of the simulator have no form that is known.", Example("reply: {match: Paris, reply: France}\n", replies=True), Example("reply:\n  - {match: Paris, reply: France}\n", replies=True)),
)

TEXTS: tuple[Code, ...] = (
    _of("empty-text", "A text key without a text.", "steps:\n  reply:\n    prompt:", _STEP),
    _of("not-text", "A text key with something else than text.", "steps:\n  reply:\n    prompt: 42", 'steps:\n  reply:\n    prompt: "42"'),
    _of("comment-cuts-text", "A `#` behind a blank cuts off a text that stands without quotes.", "steps:\n  reply:\n    prompt: Close ticket #42 now", 'steps:\n  reply:\n    prompt: "Close ticket #42 now"'),
    _of("bidi-text", "A prompt holds characters that turn the order of what is seen.", 'steps:\n  reply:\n    prompt: "a\\u202eb"', "steps:\n  reply:\n    prompt: ab"),
    _of("dollar-braces", "The braces of another tool.", 'inputs: {q: string}\nsteps:\n  reply:\n    prompt: "${{ inputs.q }}"', 'inputs: {q: string}\nsteps:\n  reply:\n    prompt: "{{ inputs.q }}"'),
    _of("braces-in-expression", "An expression takes no braces.", 'inputs: {deep: boolean}\nsteps:\n  reply:\n    when: "{{ inputs.deep }}"\n    prompt: Hello.', "inputs: {deep: boolean}\nsteps:\n  reply:\n    when: inputs.deep\n    prompt: Hello."),
    _of("empty-expression", "An expression key without an expression.", "steps:\n  reply:\n    when:\n    prompt: Hello.", "steps:\n  reply:\n    when: true\n    prompt: Hello."),
    _of("template-syntax", "Not the grammar of Jinja.", 'inputs: {q: string}\nsteps:\n  reply:\n    prompt: "{% if inputs.q %}Hello."', 'inputs: {q: string}\nsteps:\n  reply:\n    prompt: "{% if inputs.q %}Hello.{% endif %}"'),
    _of("template-limit", "A template nests deeper than anyone writes.", Example("steps:\n  reply:\n    when: " + "(" * 200 + "1" + ")" * 200 + "\n    prompt: Hello.", words="An expression in 200 brackets."), "steps:\n  reply:\n    when: 1\n    prompt: Hello."),
    _of("single-braces", "Words in single braces are text; probably a value was meant.", "steps:\n  draft:\n    prompt: Hello.\n  reply:\n    prompt: Shorten {steps.draft.output}", 'steps:\n  draft:\n    prompt: Hello.\n  reply:\n    prompt: "Shorten {{ steps.draft.output }}"'),
    _of("bare-reference", "A text that is exactly a reference; probably its value was meant.", "steps:\n  draft:\n    prompt: Hello.\n  reply:\n    prompt: steps.draft.output", 'steps:\n  draft:\n    prompt: Hello.\n  reply:\n    prompt: "{{ steps.draft.output }}"'),
)
