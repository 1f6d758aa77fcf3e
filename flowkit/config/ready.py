"""The servers that work with no configuration: address, key and dialect of each. Facts only; knows no file and no environment.

Dialects are those that the servers' documentation and issue threads describe (November 2026); each can be changed in flowkit.toml.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from flowkit.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

_READY = {
    # Reasoning models refuse `max_tokens`; strict schemas refuse minLength and maxLength.
    "openai": Settings(
        base_url="https://api.openai.com/v1",
        api_key_env=("OPENAI_API_KEY",),
        key_required=True,
        max_tokens_key="max_completion_tokens",
    ),
    # The address is that of a resource, so it comes from the environment or from a file.
    "azure": Settings(api_key_env=("AZURE_OPENAI_API_KEY",), key_required=True, api_style="azure"),
    # Has no json_schema: asking for it first would waste a call on each model. In a tool loop it wants its reasoning back.
    "deepseek": Settings(
        base_url="https://api.deepseek.com",
        api_key_env=("DEEPSEEK_API_KEY",),
        key_required=True,
        structured="json_object",
        max_tokens_key="max_tokens",
        return_reasoning=True,
    ),
    # Answers 422 to keys that it does not know, max_completion_tokens and stream_options among them; sends usage unasked.
    "mistral": Settings(
        base_url="https://api.mistral.ai/v1",
        api_key_env=("MISTRAL_API_KEY",),
        key_required=True,
        max_tokens_key="max_tokens",
        stream_usage=False,
    ),
    "groq": Settings(base_url="https://api.groq.com/openai/v1", api_key_env=("GROQ_API_KEY",), key_required=True),
    "together": Settings(
        base_url="https://api.together.xyz/v1", api_key_env=("TOGETHER_API_KEY",), key_required=True, max_tokens_key="max_tokens"
    ),
    "openrouter": Settings(
        base_url="https://openrouter.ai/api/v1", api_key_env=("OPENROUTER_API_KEY",), key_required=True, max_tokens_key="max_tokens"
    ),
    # Answers 400 to keys that it does not know; sends usage unasked in the last piece.
    "gemini": Settings(
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        api_key_env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        key_required=True,
        max_tokens_key="max_tokens",
        stream_usage=False,
    ),
    # Ollama ignores max_completion_tokens without a word; its grammars know lengths. It queues what it cannot run at once.
    "ollama": Settings(base_url="http://localhost:11434/v1", max_tokens_key="max_tokens", lengths=True, max_parallel=4),
    "llamacpp": Settings(base_url="http://localhost:8080/v1", max_tokens_key="max_tokens", lengths=True, max_parallel=4),
    "vllm": Settings(base_url="http://localhost:8000/v1", max_tokens_key="max_tokens"),
    # Whatever serves on the port that vLLM, SGLang's and transformers' examples share.
    "local": Settings(base_url="http://localhost:8000/v1", max_tokens_key="max_tokens"),
}

#: Settings of each provider that needs no table in flowkit.toml.
READY: Mapping[str, Settings] = MappingProxyType(_READY)
