"""What a model of the zoo is, and what changes its files after Transformers has written them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.zoo import tokenizers as t
from tests.zoo.texts import DECOMPOSED

SIZE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "vocab_size": t.VOCABULARY,
    "initializer_range": 0.125,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
GEMMA = {**SIZE, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 16}

# config.json, and tensors by name
Json = dict[str, Any]
Change = Callable[[Json], None]
BPE = t.written(t.byte_level())
FALLBACK = t.written(t.byte_fallback)


@dataclass(frozen=True)
class Case:
    """`config` goes to the class; `edit` changes config.json, and `weights` the tensors, after.

    `refused`: words of the refusal; None: exact. `context`: what the file must say. `notices`:
    words that the report must have.
    """

    kind: str = "Llama"
    config: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: t.Writer = BPE
    edit: Change | None = None
    weights: Change | None = None
    refused: str | None = None
    context: int = 256
    notices: tuple[str, ...] = ()
    folder: str = ""
    other_texts: tuple[str, ...] = ()
    """Those that become other tokens, as a notice says."""
    goes_on_after: tuple[int, ...] = ()
    """Ends of an answer for which a GGUF file has no key, as a notice says."""


COMPOSES: dict[str, Any] = {"notices": ("NFC",), "other_texts": (DECOMPOSED,)}
"""Transformers takes its own tokenizer for every Qwen 2, and that has NFC."""


def without(*names: str) -> Change:
    def edit(config: Json) -> None:
        for name in names:
            config.pop(name, None)

    return edit


def having(**values: Any) -> Change:
    def edit(config: Json) -> None:
        config.update(values)

    return edit


def write_edited(folder: Path, edit: Change) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    edit(config)
    path.write_text(json.dumps(config))
