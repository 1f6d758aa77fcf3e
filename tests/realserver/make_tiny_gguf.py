"""Write a tiny llama model with random weights as a GGUF file: half a megabyte, nothing downloaded, text of printable ASCII.

python make_tiny_gguf.py model.gguf [seed]
"""

from __future__ import annotations

import sys

import gguf
import numpy as np
from numpy.typing import NDArray

WIDTH, LAYERS, HEADS, INNER, CONTEXT = 64, 2, 4, 128, 8192
WORDS = "\u2581the \u2581a \u2581of \u2581to \u2581and \u2581in \u2581is th he in er an re on at en true false null"
#: ChatML; tools are told as the Hermes models are.
TEMPLATE = """{%- if tools %}
{{- '<|im_start|>system\\n# Tools\\nYou are provided with function signatures within <tools></tools> XML tags:\\n<tools>' }}
{%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}
{{- '\\n</tools>\\nFor each call, return JSON within <tool_call></tool_call> XML tags:\\n<tool_call>\\n' }}
{{- '{\\"name\\": <function-name>, \\"arguments\\": <args-json-object>}\\n</tool_call><|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""

Floats = NDArray[np.float32]


def vocabulary() -> tuple[list[bytes], list[float], list[int]]:
    """Control tokens, all bytes, printable ASCII, some words, and the two marks of ChatML at the end."""
    kinds = gguf.TokenType
    entries = [(b"<unk>", 0.0, kinds.UNKNOWN), (b"<s>", 0.0, kinds.CONTROL), (b"</s>", 0.0, kinds.CONTROL)]
    entries += [(f"<0x{byte:02X}>".encode(), 0.0, kinds.BYTE) for byte in range(256)]
    entries += [(char.encode(), -10.0, kinds.NORMAL) for char in ["\u2581", *map(chr, range(33, 127))]]
    entries += [(word.encode(), -1.0 - at * 0.01, kinds.NORMAL) for at, word in enumerate(WORDS.split(" "))]
    entries += [(b"<|im_start|>", 0.0, kinds.CONTROL), (b"<|im_end|>", 0.0, kinds.CONTROL)]
    return [text for text, _, _ in entries], [score for _, score, _ in entries], [int(kind) for _, _, kind in entries]


def write(path: str, seed: int = 0) -> None:
    """Write the model."""
    rng = np.random.default_rng(seed)

    def noise(*shape: int, scale: float) -> Floats:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    tokens, scores, kinds = vocabulary()
    size = len(tokens)
    out = gguf.GGUFWriter(path, "llama")
    out.add_name("tiny-random-llama")
    out.add_context_length(CONTEXT)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(INNER)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_rope_dimension_count(WIDTH // HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_vocab_size(size)
    out.add_file_type(gguf.LlamaFileType.ALL_F32)
    out.add_tokenizer_model("llama")
    out.add_token_list(tokens)
    out.add_token_scores(scores)
    out.add_token_types(kinds)
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_unk_token_id(0)
    out.add_add_bos_token(True)
    out.add_add_space_prefix(False)
    out.add_eot_token_id(size - 1)
    out.add_chat_template(TEMPLATE)
    out.add_tensor("token_embd.weight", noise(size, WIDTH, scale=1.0))
    out.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    logits = noise(size, WIDTH, scale=1.0)
    # Control tokens and bytes get nothing, so that text stays printable; the two ends stay within reach.
    logits[:259] = 0.0
    logits[2] = noise(WIDTH, scale=1.0)
    logits[size - 1] = noise(WIDTH, scale=1.0)
    out.add_tensor("output.weight", logits)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        out.add_tensor(block + "attn_norm.weight", np.ones(WIDTH, np.float32))
        out.add_tensor(block + "ffn_norm.weight", np.ones(WIDTH, np.float32))
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            out.add_tensor(f"{block}{name}.weight", noise(WIDTH, WIDTH, scale=0.12))
        out.add_tensor(block + "ffn_gate.weight", noise(INNER, WIDTH, scale=0.12))
        out.add_tensor(block + "ffn_up.weight", noise(INNER, WIDTH, scale=0.12))
        out.add_tensor(block + "ffn_down.weight", noise(WIDTH, INNER, scale=0.09))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
