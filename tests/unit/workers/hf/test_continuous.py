"""Continuous batching starts with the cache that memory has room for."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.generation.continuous_batching import cache as cache_module

from hf.continuous import PAGE_TOKENS, ContinuousEngine

CONTEXT = 4 * PAGE_TOKENS
SEQUENCES = 64
ENOUGH_FOR_A_FEW = 40_000_000


@pytest.fixture
def model(tmp_path: Path) -> Path:
    from tokenizers import Tokenizer, models

    vocabulary = {chr(97 + number): number for number in range(26)}
    whole = Tokenizer(models.WordLevel(vocabulary, unk_token="a"))
    PreTrainedTokenizerFast(tokenizer_object=whole, unk_token="a").save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tmp_path)
    config = LlamaConfig(
        vocab_size=26,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    return tmp_path


def options(model: Path) -> Namespace:
    return Namespace(
        model=str(model),
        name="tiny",
        lora="",
        threads=1,
        batching="continuous",
        device="cpu",
        dtype="float32",
        attention=None,
        max_model_len=0,
        max_num_seqs=SEQUENCES,
    )


def test_a_cache_for_all_sequences_that_does_not_fit_is_made_smaller(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = (torch.device("cpu"), ENOUGH_FOR_A_FEW, 0, 0)
    monkeypatch.setattr(cache_module, "get_device_and_memory_breakdown", lambda: small)
    engine = ContinuousEngine(options(model))
    assert engine.failure() is None
    (told,) = [line for line in capsys.readouterr().err.splitlines() if "the cache holds" in line]
    held = int(told.split()[3])
    assert CONTEXT <= held < SEQUENCES * CONTEXT
    engine._manager.stop(block=True)
