"""The parameters of a model as the protocol calls them, with their ranges. Knows no server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowkit.keys.shapes import ANY, BOOLEAN, COUNT, WORD, Key, Shape, Table, either, integer, map_of, number

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Keys of a request body that flowkit writes itself: the way out.
RESERVED_PARAMS: Mapping[str, str] = {
    "n": "write `samples: 3` on the step",
    "model": "the model stands on the step, or under `defaults:`",
    "messages": "messages stand on the step",
    "stream": "answers are streamed where the run is, not in the file",
    "stream_options": "answers are streamed where the run is, not in the file",
    "response_format": "declare the type of the answer: `output: …`",
    "tools": "write `tools: [pkg.mod:function]` on the step",
    "functions": "write `tools: [pkg.mod:function]` on the step",
    "function_call": "write `tools: [pkg.mod:function]` on the step",
}

#: What only some servers know, so that it is no slip.
SERVER_PARAMS = frozenset(
    ("top_k", "min_p", "top_a", "typical_p", "repetition_penalty", "repeat_penalty", "length_penalty", "min_tokens", "num_ctx", "thinking")
)

PARAMS = Table(
    "params",
    "`params`",
    "Parameters of the model, as the protocol calls them. `null` takes away what `defaults` or the model's alias say.",
    (
        Key("temperature", number(0, 2), "How freely words are chosen.", "temperature: 0"),
        Key("top_p", number(0, 1), "Share of the likeliest words to choose from.", "top_p: 0.9"),
        Key("max_tokens", COUNT, "Longest answer in tokens.", "max_tokens: 200"),
        Key("max_completion_tokens", COUNT, "Longest answer in tokens, thinking included.", "max_completion_tokens: 2000"),
        Key("stop", either(WORD, Shape("list", (WORD,), min=1, max=4)), "Text that ends the answer, or up to four.", 'stop: ["\\n\\n"]'),
        Key("seed", integer(-(2**63), 2**63 - 1), "For answers that come again, where the server can.", "seed: 7"),
        Key("frequency_penalty", number(-2, 2), "Against words that came often.", "frequency_penalty: 0.5"),
        Key("presence_penalty", number(-2, 2), "Against words that came at all.", "presence_penalty: 0.5"),
        Key("logit_bias", map_of(number(-100, 100)), "For or against tokens by their number.", 'logit_bias: {"50256": -100}'),
        Key("logprobs", BOOLEAN, "Whether likelihoods are told.", "logprobs: true"),
        Key("top_logprobs", integer(0, 20), "Of how many words at each place.", "top_logprobs: 3"),
        Key("reasoning_effort", WORD, "How long the model thinks: `none`, `minimal`, `low`, `medium`, `high` …", "reasoning_effort: low"),
        Key("verbosity", WORD, "How long the answer is: `low`, `medium`, `high`.", "verbosity: low"),
        Key("service_tier", WORD, "How the server handles the call.", "service_tier: flex"),
        Key("parallel_tool_calls", BOOLEAN, "Whether several tools may be asked for at once.", "parallel_tool_calls: false"),
        Key("tool_choice", either(WORD, Shape("map", (ANY,))), "`none`, `auto`, `required`, or one function.", "tool_choice: auto"),
        Key("store", BOOLEAN, "Whether the server keeps the answer.", "store: false"),
        Key("metadata", map_of(WORD), "Notes kept beside it at the server.", "metadata: {team: support}"),
        Key("user", WORD, "Who asks; an older name of `safety_identifier`.", "user: team-7"),
        Key("safety_identifier", WORD, "Who asks.", "safety_identifier: team-7"),
        Key("prompt_cache_key", WORD, "Groups calls that begin alike.", "prompt_cache_key: triage"),
        Key("prompt_cache_retention", WORD, "How long the server keeps beginnings.", "prompt_cache_retention: 24h"),
        Key("prompt_cache_options", Shape("map", (ANY,)), "How the server keeps beginnings.", "prompt_cache_options: {mode: implicit}"),
        Key("prediction", Shape("map", (ANY,)), "Text that is likely in the answer.", "prediction: {type: content, content: …}"),
        Key("web_search_options", Shape("map", (ANY,)), "For models that search.", "web_search_options: {search_context_size: low}"),
        Key("moderation", Shape("map", (ANY,)), "Judge what is said on the way.", "moderation: {model: …}"),
        Key("extra_body", Shape("map", (ANY,)), "Parameters that only some servers know.", "extra_body: {top_k: 40}"),
    ),
    meant={"random_seed": "seed", "max_output_tokens": "max_completion_tokens", "stop_sequences": "stop", "effort": "reasoning_effort"},
    hints=RESERVED_PARAMS,
)
