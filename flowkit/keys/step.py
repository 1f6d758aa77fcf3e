"""The keys of a step and of what stands on it. Knows what may be written where, not what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowkit.keys.shapes import (
    ANY,
    BOOLEAN,
    CONTENT,
    COUNT,
    DURATION,
    EXAMPLES,
    EXPRESSION,
    FIELDS,
    MODEL,
    NAME,
    NAMED_EXPRESSIONS,
    PATH,
    TEXT,
    TYPE,
    WORD,
    Key,
    StepKind,
    Table,
    either,
    list_of,
    map_of,
    number,
    table,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHAT: tuple[StepKind, ...] = ("chat",)
#: The keys that make a step what it is: exactly one of them stands there.
MAKERS: Mapping[str, StepKind] = {"messages": "chat", "prompt": "chat", "uses": "flow", "call": "call", "set": "set"}

STEP = Table(
    "step",
    "A step",
    "A step is of exactly one kind: chat (`messages` or `prompt`), sub-flow (`uses`), function (`call`) or values (`set`).",
    (
        Key("messages", list_of(table("message")), "The messages of a chat.", 'messages: [{user: "{{ inputs.q }}"}]', kinds=_CHAT),
        Key("prompt", TEXT, "One user message.", 'prompt: "{{ inputs.q }}"', kinds=_CHAT),
        Key("system", TEXT, "A system message before `prompt`.", "system: Be short.", kinds=_CHAT),
        Key(
            "examples", EXAMPLES, "Few-shot pairs after the system messages, or a jsonl file of them.", "examples: pairs.jsonl", kinds=_CHAT
        ),
        Key(
            "tools",
            list_of(WORD),
            "Python functions and flows that the model may call.",
            "tools: [shop:find, search.flow.yaml]",
            kinds=_CHAT,
        ),
        Key(
            "output",
            either(TYPE, FIELDS),
            "The type of the answer; a mapping is a record of fields. Default of a chat: `string`.",
            "output: {label: enum(bug | question)}",
            kinds=("chat", "call", "set"),
        ),
        Key("uses", PATH, "A flow that runs as this step.", "uses: translate.flow.yaml", kinds=("flow",)),
        Key("call", WORD, "A Python function, `pkg.mod:function`.", "call: shop:find_order", kinds=("call",)),
        Key(
            "with",
            NAMED_EXPRESSIONS,
            "What goes into the sub-flow or function: expressions by name, or one for the whole record.",
            "with: {text: steps.draft.output}",
            kinds=("flow", "call"),
        ),
        Key("set", NAMED_EXPRESSIONS, "Values: expressions by name, or one.", "set: {total: inputs.a + inputs.b}", kinds=("set",)),
        Key("needs", list_of(NAME), "Steps that come first though none of their data is read.", "needs: [draft]"),
        Key("when", EXPRESSION, "If false, the step is skipped.", "when: inputs.deep"),
        Key("foreach", EXPRESSION, "A list: one run for each item, in parallel.", "foreach: inputs.topics"),
        Key("as", NAME, "Name of the item. Default: `item`.", "as: topic"),
        Key("max_parallel", COUNT, "How many items run at once; without `foreach`, how many samples.", "max_parallel: 4"),
        Key("repeat", table("repeat"), "Again until something holds.", "repeat: {until: output.score > 3, max: 3}"),
        Key("model", MODEL, "An alias or `provider/model`, or a list: order of fallback.", "model: smart", kinds=_CHAT),
        Key("params", table("params"), "Parameters of the model.", "params: {temperature: 0}", kinds=_CHAT),
        Key("checks", list_of(table("check")), "What must hold of the output.", "checks: [{expr: output.words | length <= 3}]"),
        Key("retry", either(COUNT, table("retry")), "Attempts, the first one counted.", "retry: 3"),
        Key("timeout", either(DURATION, table("timeout")), "For each attempt, or `{attempt, total}`.", "timeout: 30s"),
        Key("cache", either(BOOLEAN, DURATION), "Whether an answer is used again, or up to which age.", "cache: 7d", kinds=_CHAT),
        Key("on_error", either(words("fail", "skip"), table("on_error")), "What happens when the step fails.", "on_error: skip"),
        Key("on_skip", words("run", "skip"), "`skip`: skipped too if a step that it reads was skipped.", "on_skip: skip"),
        Key("samples", COUNT, "So many answers, each a call of its own.", "samples: 5", kinds=_CHAT),
        Key("pick", words("first", "majority"), "One of the samples.", "pick: majority", kinds=_CHAT),
        Key(
            "variants",
            map_of(table("variant")),
            "Named overlays, chosen with `--variant step=name`.",
            "variants: {short: {prompt: …}}",
            kinds=_CHAT,
        ),
    ),
    meant={
        "depends_on": "needs",
        "dependencies": "needs",
        "depends": "needs",
        "after": "needs",
        "requires": "needs",
        "prompts": "prompt",
        "template": "prompt",
        "user": "prompt",
        "chat": "messages",
        "if": "when",
        "condition": "when",
        "activate": "when",
        "for": "foreach",
        "for_each": "foreach",
        "each": "foreach",
        "map": "foreach",
        "loop": "repeat",
        "model_name": "model",
        "engine": "model",
        "deployment_name": "model",
        "parameters": "params",
        "model_params": "params",
        "few_shot": "examples",
        "shots": "examples",
        "output_schema": "output",
        "response_format": "output",
        "schema": "output",
        "returns": "output",
        "outputs": "output",
        "flow": "uses",
        "subflow": "uses",
        "use": "uses",
        "function": "call",
        "inputs": "with",
        "args": "with",
        "arguments": "with",
        "retries": "retry",
        "concurrency": "max_parallel",
        "assert": "checks",
        "asserts": "checks",
        "validate": "checks",
        "n": "samples",
        "on_failure": "on_error",
    },
    hints={
        "id": "the id of a step is its key below `steps:`",
        "name": "the id of a step is its key below `steps:`",
        "type": "the kind of a step follows from its keys; the type of its answer is `output:`",
        "role": "write `messages:` with `- user: …`",
        "content": "write `prompt: …`, or `messages:` with `- user: …`",
        "temperature": "parameters of the model stand under `params:`",
        "max_tokens": "parameters of the model stand under `params:`",
        "top_p": "parameters of the model stand under `params:`",
        "seed": "parameters of the model stand under `params:`",
        "stop": "parameters of the model stand under `params:`",
        "source": "a function is written `call: pkg.mod:function`, a prompt `prompt:`",
        "python": "code stands in a module: `call: pkg.mod:function`",
        "code": "code stands in a module: `call: pkg.mod:function`",
        "connection": "where a model is served stands under `models:` or in flowkit.toml",
        "provider": "where a model is served stands under `models:` or in flowkit.toml",
        "base_url": "where a model is served stands under `models:` or in flowkit.toml",
        "until": "write `repeat: {until: …, max: 3}`",
        "max": "write `repeat: {until: …, max: 3}`",
        "default": "write `on_error: {default: …}`",
        "description": "a comment describes a step: `# …`",
        "history": "write `messages:` with `- history: …`",
        "expr": "write `set: …`",
    },
)

MESSAGE = Table(
    "message",
    "An entry of `messages`",
    "Exactly one key: the role with its text or parts, or `history`.",
    (
        Key("system", CONTENT, "Instructions.", "system: Be short."),
        Key("developer", CONTENT, "Instructions, as newer models call them.", "developer: Be short."),
        Key("user", CONTENT, "What the user says.", 'user: "{{ inputs.q }}"'),
        Key("assistant", CONTENT, "What the model said.", "assistant: Which order?"),
        Key("tool", CONTENT, "What a tool answered.", 'tool: "{{ steps.find.output }}"'),
        Key("history", EXPRESSION, "A list of messages to insert; a system message in it is refused.", "history: inputs.talk"),
    ),
    meant={
        "human": "user",
        "ai": "assistant",
        "bot": "assistant",
        "model": "assistant",
        "function": "tool",
        "prompt": "user",
        "messages": "history",
    },
    single=True,
)

PART = Table(
    "part",
    "A part of a message",
    "Exactly one key.",
    (
        Key("text", TEXT, "Text.", "text: What is this?"),
        Key("image_url", either(TEXT, table("image_url")), "An image by its address or as a data URL.", 'image_url: "{{ inputs.url }}"'),
        Key("input_audio", table("input_audio"), "Sound.", "input_audio: {data: …, format: wav}"),
        Key("file", table("file"), "A file.", "file: {file_id: …}"),
    ),
    meant={"image": "image_url", "audio": "input_audio", "content": "text"},
    hints={"type": "a part is named by its key: `- text: …`, `- image_url: …`"},
    single=True,
)

IMAGE_URL = Table(
    "image_url",
    "`image_url`",
    "An image.",
    (
        Key("url", TEXT, "Its address, or a data URL.", 'url: "{{ inputs.url }}"', required=True),
        Key("detail", TEXT, "`auto`, `low` or `high`.", "detail: low"),
    ),
)

INPUT_AUDIO = Table(
    "input_audio",
    "`input_audio`",
    "Sound.",
    (
        Key("data", TEXT, "The bytes as base64.", 'data: "{{ inputs.sound }}"', required=True),
        Key("format", TEXT, "`wav` or `mp3`.", "format: wav", required=True),
    ),
)

FILE = Table(
    "file",
    "`file`",
    "A file: one that the server has, or its bytes.",
    (
        Key("file_id", TEXT, "Id at the server.", 'file_id: "{{ inputs.id }}"'),
        Key("filename", TEXT, "Its name.", "filename: bill.pdf"),
        Key("file_data", TEXT, "Its bytes as a data URL.", 'file_data: "{{ inputs.bytes }}"'),
    ),
)

EXAMPLE = Table(
    "example",
    "An entry of `examples`",
    "One pair of question and answer.",
    (
        Key("user", TEXT, "What the user says.", "user: It crashes.", required=True),
        Key("assistant", ANY, "The answer, of the type of the step's `output`.", "assistant: {label: bug}", required=True),
    ),
    meant={"input": "user", "question": "user", "prompt": "user", "output": "assistant", "answer": "assistant", "expected": "assistant"},
)

REPEAT = Table(
    "repeat",
    "`repeat`",
    "The step runs again until `until` is true; it sees `output`, `previous` and `round`.",
    (
        Key("until", EXPRESSION, "What ends it.", "until: output.score > 3", required=True),
        Key("max", COUNT, "Most rounds.", "max: 3", required=True),
        Key("on_max", words("keep", "fail"), "After the last round: keep its output (default) or fail.", "on_max: fail"),
    ),
    meant={"while": "until", "times": "max", "max_rounds": "max", "max_iterations": "max", "limit": "max", "on_fail": "on_max"},
)

CHECK = Table(
    "check",
    "An entry of `checks`",
    "What must hold of the output. When it does not, the model is asked again, then the step fails.",
    (
        Key("expr", EXPRESSION, "True if the output is right.", "expr: output.words | length <= 3", required=True),
        Key("message", TEXT, "What the model is told.", "message: At most three words."),
        Key("on_fail", words("fail", "record"), "`record`: only note it. Default: `fail`.", "on_fail: record"),
    ),
    meant={
        "expression": "expr",
        "that": "expr",
        "assert": "expr",
        "if": "expr",
        "when": "expr",
        "error": "message",
        "text": "message",
        "on_error": "on_fail",
    },
)

RETRY = Table(
    "retry",
    "`retry`",
    "How often and after what a call is made again.",
    (
        Key("attempts", COUNT, "Attempts, the first one counted.", "attempts: 3"),
        Key(
            "on",
            list_of(words("rate_limit", "server", "timeout", "connection", "invalid_output")),
            "After which failures.",
            "on: [rate_limit, server]",
        ),
        Key("initial", DURATION, "Wait before the second attempt.", "initial: 1s"),
        Key("factor", number(1), "By how much each wait is longer.", "factor: 2"),
        Key("max", DURATION, "Longest wait.", "max: 30s"),
    ),
    meant={
        "max_attempts": "attempts",
        "count": "attempts",
        "times": "attempts",
        "tries": "attempts",
        "delay": "initial",
        "wait": "initial",
        "backoff": "factor",
        "max_delay": "max",
    },
)

TIMEOUT = Table(
    "timeout",
    "`timeout`",
    "How long a step may take.",
    (
        Key("attempt", DURATION, "Each attempt.", "attempt: 30s"),
        Key("total", DURATION, "All attempts together.", "total: 5m"),
    ),
)

ON_ERROR = Table(
    "on_error",
    "`on_error`",
    "The long form: go on with a value.",
    (Key("default", ANY, "The output where the step failed; it has the type of `output`.", "default: {label: question}", required=True),),
    meant={"value": "default", "output": "default"},
)

VARIANT = Table(
    "variant",
    "A variant",
    "What is different in this variant; the type of the answer stays. `params` are laid over those of the step.",
    tuple(key for key in STEP.keys if key.name in ("messages", "prompt", "system", "params", "model", "examples")),
    hints={"output": "the type stays the same in all variants"},
)
