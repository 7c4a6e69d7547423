"""Packed rows train as their samples do alone: Transformers masks by positions that begin anew."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

import torch
import transformers

from train.data.batch import Batch
from train.data.collate import collate
from train.data.sample import SamplePiece, TokenRow, row_of, sample_of
from train.loss import forward, loss_sum

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
WINDOW = 8
FAMILIES: list[tuple[str, dict[str, Any]]] = [
    ("LlamaConfig", {}),
    ("MistralConfig", {"sliding_window": WINDOW}),
    ("Qwen2Config", {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1}),
    ("Qwen3Config", {"head_dim": 8}),
    ("Phi3Config", {"sliding_window": WINDOW}),
    ("Gemma2Config", {"head_dim": 8, "sliding_window": WINDOW, "attn_implementation": "eager"}),
    ("Gemma3TextConfig", {"head_dim": 8, "sliding_window": WINDOW}),
]
LENGTHS = (21, 5, 14, 20)


def model_of(name: str, more: dict[str, Any]) -> Any:
    config = getattr(transformers, name)(**SIZES, **more)
    torch.manual_seed(1)
    return transformers.AutoModelForCausalLM.from_config(config)


def gradient(model: Any, batch: Batch) -> Any:
    model.zero_grad()
    loss_sum(forward(model, batch), batch).backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


@pytest.mark.parametrize(("name", "more"), FAMILIES, ids=[name for name, _ in FAMILIES])
def test_no_document_sees_another(name: str, more: dict[str, Any]) -> None:
    torch.manual_seed(0)
    samples = [
        sample_of(number, torch.randint(1, 64, (length,)).tolist(), [1.0] * length)
        for number, length in enumerate(LENGTHS)
    ]
    pieces = [SamplePiece(sample, 0, sample.pairs) for sample in samples]
    packed = collate([TokenRow(tuple(pieces[:3])), TokenRow(tuple(pieces[3:]))], length=48)
    alone = collate([row_of(sample) for sample in samples])
    model = model_of(name, more)
    wanted = gradient(model, alone)
    found = gradient(model, packed)
    assert float((found - wanted).norm() / wanted.norm()) < 1e-6
    mixed = gradient(model, packed._replace(documents=1))
    assert float((mixed - wanted).norm() / wanted.norm()) > 1e-5
