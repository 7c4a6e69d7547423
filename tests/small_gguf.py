"""A GGUF file of one layer of Llama, a few kilobytes, whose keys and tensors a test chooses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

WIDTH = 64
TOKENS = ["<unk>", "<s>", "</s>", "a", "b"]
KEYS: dict[str, Any] = {
    "llama.block_count": 1,
    "llama.context_length": 128,
    "llama.embedding_length": WIDTH,
    "llama.feed_forward_length": WIDTH,
    "llama.attention.head_count": 2,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.scores": [0.0] * len(TOKENS),
    "tokenizer.ggml.token_type": [2, 3, 3, 1, 1],
}
LAYER = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


def arrays() -> dict[str, np.ndarray]:
    drawn = np.random.default_rng(0)
    found = {"token_embd": drawn.normal(size=(len(TOKENS), WIDTH))}
    found |= {f"blk.0.{name}": drawn.normal(size=(WIDTH, WIDTH)) for name in LAYER}
    norms = ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm")
    found |= {name: np.ones(WIDTH) for name in norms}
    return {
        f"{name}.weight": values.astype(np.float32 if values.ndim == 1 else np.float16)
        for name, values in found.items()
    }


def file_with(path: Path, tensors: dict[str, np.ndarray] | None = None, **change: Any) -> Path:
    """A small file; a key that is None is left out, `__` in a name is a dot."""
    writer = gguf.GGUFWriter(path, "llama")
    keys = {**KEYS, **{name.replace("__", "."): value for name, value in change.items()}}
    for name, value in keys.items():
        if value is not None:
            _add(writer, name, value)
    for name, values in (arrays() if tensors is None else tensors).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: Any, name: str, value: Any) -> None:
    kinds = {str: "string", int: "uint32", float: "float32", bool: "bool", list: "array"}
    getattr(writer, f"add_{kinds[type(value)]}")(name, value)
