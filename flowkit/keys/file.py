"""The keys of the file around its steps. Knows what may be written where, not what it does."""

from __future__ import annotations

from flowkit.keys.shapes import (
    ABOUT,
    ANY,
    BOOLEAN,
    COUNT,
    DURATION,
    FIELDS,
    MODEL,
    NAME,
    NAMED_EXPRESSIONS,
    PATH,
    TYPE,
    WORD,
    Key,
    Shape,
    Table,
    either,
    integer,
    list_of,
    map_of,
    number,
    table,
    words,
)

_MODEL_PLACE = "the model stands under `defaults:` for all steps, or on a step"
_STEP_PLACE = "this belongs to a step: `steps: {reply: {%s: …}}`"
_RANGE = "bounds stand in the type: `integer(1..5)`, `number(0..)`, `string(..280)`"
_OPTIONAL = "an optional field has a `?` after its name: `order_id?: string`"

FLOW = Table(
    "flow",
    "Top level",
    "A flow is one file, `*.flow.yaml`.",
    (
        Key("flowkit", Shape("words", of_words=("1",)), "Marks the file and the version of its format.", "flowkit: 1", required=True),
        Key("name", WORD, "What the flow is called. Default: the file's name without `.flow.yaml`.", "name: support-triage"),
        Key("description", ABOUT, "What the flow is for.", "description: Answer a ticket."),
        Key(
            "types",
            map_of(either(TYPE, FIELDS)),
            "Named types: a record of fields, a type, `pkg.mod:Class`, `file.schema.json` or `other.types.yaml#Name`.",
            "types: {Issue: {title: string, severity: integer(1..5)}}",
        ),
        Key(
            "values",
            map_of(either(table("value"), ANY)),
            "Typed constants, read as `values.name`: a literal, `{type, value}` or `{type, file}`.",
            "values: {language: Italian}",
        ),
        Key("inputs", FIELDS, "The parameters of the flow.", "inputs: {ticket: string, tone?: enum(formal | friendly)}"),
        Key(
            "models",
            map_of(either(WORD, table("model"))),
            "Aliases of this file for models; those of `flowkit.toml` win over them.",
            "models: {fast: openai/gpt-4.1-mini}",
        ),
        Key("defaults", table("defaults"), "What holds for the steps of this file.", "defaults: {model: fast, params: {temperature: 0}}"),
        Key("limits", table("limits"), "What a run may use at most.", "limits: {calls: 20, seconds: 60}"),
        Key("steps", map_of(table("step")), "The steps by id; their order is free.", "steps: {reply: {prompt: …}}", required=True),
        Key(
            "outputs",
            NAMED_EXPRESSIONS,
            "What the flow gives: expressions by name, or one for a whole record. Default: outputs of all steps that no step reads.",
            "outputs: {reply: steps.reply.output}",
        ),
        Key(
            "tests",
            either(list_of(table("test")), table("suite")),
            "Tests of this flow; see the page on tests.",
            "tests: [{inputs: {ticket: It crashes.}}]",
        ),
    ),
    meant={
        "nodes": "steps",
        "tasks": "steps",
        "jobs": "steps",
        "stages": "steps",
        "parameters": "inputs",
        "params": "inputs",
        "args": "inputs",
        "arguments": "inputs",
        "vars": "values",
        "variables": "values",
        "constants": "values",
        "definitions": "types",
        "schemas": "types",
        "providers": "models",
        "settings": "defaults",
        "budget": "limits",
        "results": "outputs",
        "returns": "outputs",
        "title": "name",
        "version": "flowkit",
    },
    hints={
        "model": _MODEL_PLACE,
        "temperature": "parameters of the model stand under `defaults: {params: …}` or on a step",
        "max_tokens": "parameters of the model stand under `defaults: {params: …}` or on a step",
        "timeout": "for all steps this stands under `defaults:`",
        "retry": "for all steps this stands under `defaults:`",
        "cache": "for all steps this stands under `defaults:`",
        "max_parallel": "for all steps this stands under `defaults:`",
        "base_url": "the address of a server stands under `models:` or in flowkit.toml",
        "prompt": _STEP_PLACE % "prompt",
        "messages": _STEP_PLACE % "messages",
        "system": _STEP_PLACE % "system",
        "output": "`outputs:` is what the flow gives; the type of an answer stands on its step",
        "$schema": "for editors write `# yaml-language-server: $schema=…` as the first line",
        "environment": "the environment is not part of a flow; keys are named by `api_key_env`",
        "env": "the environment is not part of a flow; keys are named by `api_key_env`",
    },
)

DEFAULTS = Table(
    "defaults",
    "`defaults`",
    "What holds for the steps of this file, where a step does not say otherwise. It does not reach sub-flows.",
    (
        Key("model", MODEL, "An alias or `provider/model`, or a list: order of fallback.", "model: openai/gpt-4.1-mini"),
        Key("params", table("params"), "Parameters of the model.", "params: {temperature: 0}"),
        Key("timeout", either(DURATION, table("timeout")), "For each attempt, or `{attempt, total}`.", "timeout: 30s"),
        Key("retry", either(COUNT, table("retry")), "Attempts, the first one counted.", "retry: 3"),
        Key("cache", either(BOOLEAN, DURATION), "Whether answers are used again, or up to which age.", "cache: 7d"),
        Key("max_parallel", COUNT, "How many items of a `foreach` run at once.", "max_parallel: 8"),
    ),
    meant={"models": "model", "parameters": "params", "retries": "retry", "concurrency": "max_parallel"},
    hints={
        "temperature": "parameters of the model stand under `params:`",
        "max_tokens": "parameters of the model stand under `params:`",
    },
)

LIMITS = Table(
    "limits",
    "`limits`",
    "What a run may use at most; it stops before the call that would go beyond.",
    (
        Key("calls", COUNT, "Calls of models.", "calls: 20"),
        Key("tokens", COUNT, "Tokens, input and output together.", "tokens: 100000"),
        Key("cost", number(0, above=True), "Cost in US dollars.", "cost: 0.5"),
        Key("seconds", number(0, above=True), "Seconds on the clock.", "seconds: 60"),
    ),
    meant={
        "requests": "calls",
        "max_calls": "calls",
        "max_tokens": "tokens",
        "price": "cost",
        "budget": "cost",
        "time": "seconds",
        "timeout": "seconds",
    },
)

VALUE = Table(
    "value",
    "A value with its type",
    "The long form of an entry of `values`. A mapping with other keys is the constant itself.",
    (
        Key("type", either(TYPE, FIELDS), "Its type; without it the type is inferred.", "type: list(string)"),
        Key("value", ANY, "The constant.", "value: [Italian, French]"),
        Key(
            "file",
            PATH,
            "A file that holds it: `.json`, `.jsonl` (a list), `.yaml`, `.txt` or `.md` (text, final newline dropped).",
            "file: worked.jsonl",
        ),
    ),
)

FIELD = Table(
    "field",
    "A field in its long form",
    "A mapping whose keys are all among these is the long form of a field; any other mapping is a nested record.",
    (
        Key("type", TYPE, "The type of the field.", "type: enum(formal | friendly)", required=True),
        Key("description", ABOUT, "What the field holds; models read it.", "description: what was typed"),
        Key("default", ANY, "The value where none is given; it has the field's type.", "default: friendly"),
        Key("examples", list_of(ANY), "Values that fit.", "examples: [friendly]"),
        Key("pattern", WORD, "A regular expression that the text must hold.", "pattern: ^[A-Z]{2}$"),
        Key("min_items", integer(0), "Fewest items of the list.", "min_items: 1"),
        Key("max_items", integer(0), "Most items of the list.", "max_items: 5"),
    ),
    meant={"desc": "description", "doc": "description", "help": "description", "example": "examples", "regex": "pattern"},
    hints={
        "enum": "the words stand in the type: `enum(a | b)`",
        "choices": "the words stand in the type: `enum(a | b)`",
        "options": "the words stand in the type: `enum(a | b)`",
        "items": "the items stand in the type: `list(string)`",
        "min": _RANGE,
        "max": _RANGE,
        "minimum": _RANGE,
        "maximum": _RANGE,
        "min_length": _RANGE,
        "max_length": _RANGE,
        "minLength": _RANGE,
        "maxLength": _RANGE,
        "required": _OPTIONAL,
        "optional": _OPTIONAL,
        "nullable": "a value that may be null: `string | null`",
        "properties": "a nested record is a mapping of its fields, or a named type",
    },
    lacking="write type: string; a record of fields with such names needs a name under `types`",
)

MODEL_TABLE = Table(
    "model",
    "A model",
    "The long form of an entry of `models`.",
    (
        Key(
            "model", WORD, "`provider/model`, or the name that the server of `base_url` knows.", "model: openai/gpt-4.1-mini", required=True
        ),
        Key("base_url", WORD, "Address of an OpenAI-compatible server.", "base_url: http://localhost:8000/v1"),
        Key("api_key_env", NAME, "Name of the environment variable that holds the key.", "api_key_env: OPENAI_API_KEY"),
        Key(
            "structured",
            words("auto", "json_schema", "json_object", "prompt"),
            "How typed answers are asked for. Default: `auto`.",
            "structured: json_object",
        ),
        Key("params", table("params"), "Parameters that always go to this model.", "params: {temperature: 0}"),
        Key("max_parallel", COUNT, "Calls at once.", "max_parallel: 8"),
        Key("rate_limit", table("rate_limit"), "What the server allows.", "rate_limit: {requests_per_minute: 60}"),
        Key("price", table("price"), "Price of a million tokens in US dollars.", "price: {input: 0.4, output: 1.6}"),
        Key(
            "headers",
            map_of(either(WORD, table("header"))),
            "Further HTTP headers; one that carries a secret names a variable, `{env: NAME}`.",
            "headers: {x-team: support}",
        ),
    ),
    meant={
        "name": "model",
        "url": "base_url",
        "endpoint": "base_url",
        "api_base": "base_url",
        "key_env": "api_key_env",
        "env": "api_key_env",
    },
)

HEADER = Table(
    "header",
    "A header from a variable",
    "The long form of an entry of `headers`.",
    (Key("env", NAME, "Name of the environment variable.", "env: TEAM_TOKEN", required=True),),
)

RATE_LIMIT = Table(
    "rate_limit",
    "`rate_limit`",
    "What a server allows in a minute.",
    (
        Key("requests_per_minute", COUNT, "Calls in a minute.", "requests_per_minute: 60"),
        Key("tokens_per_minute", COUNT, "Tokens in a minute.", "tokens_per_minute: 100000"),
    ),
    meant={"rpm": "requests_per_minute", "tpm": "tokens_per_minute", "requests": "requests_per_minute", "tokens": "tokens_per_minute"},
)

PRICE = Table(
    "price",
    "`price`",
    "Price of a million tokens in US dollars.",
    (
        Key("input", number(0), "Tokens sent.", "input: 0.4", required=True),
        Key("output", number(0), "Tokens answered.", "output: 1.6", required=True),
        Key("cached", number(0), "Tokens sent that the server had in its cache. Default: as `input`.", "cached: 0.1"),
    ),
    meant={"prompt": "input", "completion": "output"},
)
