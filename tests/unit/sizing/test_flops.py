"""Operations of a step against the formulas and figures that others have published."""

from __future__ import annotations

import pytest

from llmops_cli.sizing.architecture import Attention
from llmops_cli.sizing.families import architecture_of
from llmops_cli.sizing.flops import mean_reach, token_flops, training_days, training_flops
from tests.unit.sizing.configs import LLAMA_3_8B, Config

GPT3: Config = {
    "model_type": "gpt2",
    "n_embd": 12288,
    "n_layer": 96,
    "n_head": 96,
    "vocab_size": 51200,
    "n_positions": 2048,
}


def test_six_for_each_parameter_and_attention() -> None:
    flops = token_flops(architecture_of(LLAMA_3_8B), 8192)
    without_embeddings = 8_030_261_248 - 128256 * 4096
    expected = 6 * without_embeddings + 12 * 32 * 4096 * 8192
    assert flops.model == pytest.approx(expected, rel=1e-3)


def test_megatrons_formula_and_the_days_of_gpt3() -> None:
    """43.55 days on 768 A100 at 47.8 % (arXiv:2104.04473, table 2, by llm-analysis)."""
    flops = training_flops(
        architecture_of(GPT3), sequence_length=2048, tokens=300e9, checkpointing="full"
    )
    hidden = 12288
    each = 96 * 96 * hidden**2 * (1 + 2048 / (6 * hidden) + 51200 / (16 * 96 * hidden))
    assert flops == pytest.approx(300e9 * each, rel=2e-3)
    days = training_days(flops, devices=768, peak_flops=312e12, utilisation=0.4776)
    assert days == pytest.approx(43.55, rel=0.01)


def test_a_window_shortens_what_is_looked_at() -> None:
    attention = Attention(heads=1, kv_heads=1, head_dim=1, value_dim=1, window=4)
    looked_at = [min(4, number + 1) for number in range(16)]
    assert mean_reach(attention, 16) == sum(looked_at) / 16
    whole = Attention(heads=1, kv_heads=1, head_dim=1, value_dim=1)
    assert mean_reach(whole, 16) == 8.5
