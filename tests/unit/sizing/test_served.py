"""What a served model takes, by its layers and its engine's rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.cache_rules import CacheRules
from llmops_cli.sizing.served import (
    ServedModel,
    active_weight_bytes_per_token,
    flops_per_token,
    kv_bytes,
    kv_bytes_per_token,
    weights_bytes,
)
from llmops_cli.sizing.served_models import read_model, served_model
from tests.unit.sizing.configs import LLAMA_3_8B, PUBLISHED, TINY, Config

LLAMACPP = CacheRules(allocator="llamacpp")
VLLM = CacheRules(allocator="vllm")
GEMMA_3_4B: Config = {
    "model_type": "gemma3_text",
    "hidden_size": 2560,
    "intermediate_size": 10240,
    "num_hidden_layers": 34,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "vocab_size": 262208,
    "sliding_window": 1024,
}


def model_of(config: Config) -> ServedModel:
    return served_model(config, name="model", source="here")


@pytest.mark.parametrize("name", PUBLISHED)
def test_floats_weigh_what_they_have_bits(name: str) -> None:
    config, parameters = PUBLISHED[name]
    model = model_of(config)
    assert model.parameters_total == parameters
    assert weights_bytes(model, "BF16") == 2 * parameters
    assert weights_bytes(model, "f32") == 4 * parameters


def test_a_cache_is_keys_and_values_of_each_layer() -> None:
    model = model_of(LLAMA_3_8B)
    assert kv_bytes_per_token(model) == 131_072
    assert kv_bytes_per_token(model, "q8_0") == 131_072 * 8.5 / 16
    assert kv_bytes(model, 16_000) == 16_000 * 131_072


def test_latent_vectors_are_cached_once_for_all_heads() -> None:
    config = TINY["deepseek_v3"]
    values = config["kv_lora_rank"] + config["qk_rope_head_dim"]
    assert kv_bytes_per_token(model_of(config)) == config["num_hidden_layers"] * values * 2


def test_llamacpp_keeps_a_window_and_a_micro_batch() -> None:
    """29 of Gemma 3's 34 layers look back 1,024 tokens: 1,536 cells of 4,096 bytes each."""
    model = model_of(GEMMA_3_4B)
    expected = 5 * 131_072 * 4_096 + 29 * 1_536 * 4_096
    assert kv_bytes(model, 131_072, rules=LLAMACPP) == expected
    whole = CacheRules(allocator="llamacpp", full_windows=True)
    assert kv_bytes(model, 131_072, rules=whole) == 34 * 131_072 * 4_096


def test_engines_pad_in_their_own_steps() -> None:
    model = model_of(LLAMA_3_8B)
    assert kv_bytes(model, 1_001, rules=LLAMACPP) == 1_024 * 131_072
    assert kv_bytes(model, 1_001, rules=VLLM) == 1_008 * 131_072
    several = CacheRules(allocator="vllm", sequences=3)
    assert kv_bytes(model, 1_001, rules=several) == 3 * 1_008 * 131_072


def test_more_tokens_meet_more_experts_up_to_all() -> None:
    model = model_of(PUBLISHED["Mixtral-8x7B"][0])
    sizes = [active_weight_bytes_per_token(model, "BF16", batch) for batch in (1, 4, 1_000)]
    embeddings = 2 * 32_000 * 4_096
    assert sizes[0] == pytest.approx(2 * model.parameters_active - embeddings)
    assert sizes[0] < sizes[1] < sizes[2]
    assert sizes[2] == pytest.approx(weights_bytes(model, "BF16") - embeddings)


def test_a_token_costs_two_operations_for_each_weight_and_attention_for_each_token() -> None:
    model = model_of(LLAMA_3_8B)
    none = flops_per_token(model, 0)
    assert none == pytest.approx(2 * (model.parameters_total - 128_256 * 4_096), rel=1e-3)
    assert flops_per_token(model, 100) - none == 100 * 4 * 32 * 32 * 128


@pytest.mark.parametrize("weight_format", ["GPTQ-INT4", "AWQ-INT4", "W4A16"])
def test_int4_folders_keep_ends_and_add_scales(weight_format: str) -> None:
    model = model_of(LLAMA_3_8B)
    kept = 2 * 2 * 128_256 * 4_096
    blocks = model.parameters_total - 2 * 128_256 * 4_096
    packed = weights_bytes(model, weight_format) - kept
    assert 4.1 < packed * 8 / blocks < 4.2


def test_mxfp4_packs_experts_alone() -> None:
    config = {**TINY["gpt_oss"], "intermediate_size": 64}
    model = model_of(config)
    experts = [each for each in model.tensors if "experts" in each.name and len(each.shape) == 3]
    values = sum(each.elements for each in experts)
    rest = model.parameters_total - values
    assert weights_bytes(model, "MXFP4") == values * 17 // 32 + 2 * rest


def test_a_folder_and_its_config_are_one_model(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    path = folder / "config.json"
    path.write_text(json.dumps({**TINY["qwen3"], "dtype": "float32"}))
    model = read_model(str(folder))
    assert model.name == "small"
    assert weights_bytes(model) == 4 * model.parameters_total
    assert read_model(str(path)).tensors == model.tensors


@pytest.mark.parametrize("text", ["[1]", "{", "\ud83d"])
def test_what_is_no_config_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text, errors="surrogatepass")
    with pytest.raises(UsageError, match="not JSON"):
        read_model(str(path))


@pytest.mark.parametrize(("kind", "name"), [("format", "Q4_K_L"), ("cache type", "fp7")])
def test_unknown_types_get_the_nearest(kind: str, name: str) -> None:
    model = model_of(TINY["llama"])
    with pytest.raises(UsageError, match=f"unknown {kind}") as found:
        if kind == "format":
            weights_bytes(model, name)
        kv_bytes(model, 1, dtype=name)
    assert found.value.hint is not None


@pytest.mark.parametrize("sequences", [0, -1])
def test_no_engine_takes_no_sequence(sequences: int) -> None:
    with pytest.raises(UsageError, match="sequences"):
        kv_bytes(model_of(TINY["llama"]), 1, rules=CacheRules(sequences=sequences))
