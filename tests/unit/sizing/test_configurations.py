"""Published configurations, counted as Transformers' own classes count them on a meta device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.cache_rules import CacheRules
from llmops_cli.sizing.families import UNSUPPORTED
from llmops_cli.sizing.load_of import load_of
from llmops_cli.sizing.parameters import HEAD
from llmops_cli.sizing.public_models import config_named
from llmops_cli.sizing.served import ServedModel, kv_bytes, kv_bytes_per_token, weights_bytes
from llmops_cli.sizing.served_models import read_model, served_model

PATH = Path(__file__).parent.parent.parent / "data" / "configurations.json"
ROWS: dict[str, dict[str, Any]] = {row["name"]: row for row in json.loads(PATH.read_text())}
TOWERS: dict[str, dict[str, Any]] = {
    row["name"]: row for row in json.loads(PATH.with_name("towers.json").read_text())
}
"""Both written by benchmarks/configurations.py."""


def _model(name: str, **changes: object) -> ServedModel:
    return served_model({**ROWS[name]["config"], **changes}, name=name, source="here")


@pytest.mark.parametrize("name", ROWS)
def test_parameters_are_those_of_transformers(name: str) -> None:
    row = ROWS[name]
    model = _model(name)
    assert model.parameters_total == row["parameters"]
    assert weights_bytes(model, "BF16") == 2 * row["parameters"]
    assert model.notes == ()


@pytest.mark.parametrize("name", TOWERS)
def test_towers_for_pictures_are_those_of_transformers(name: str) -> None:
    """Engines load them beside the text model, in 16 bits."""
    row = TOWERS[name]
    model = served_model(row["config"], name=name, source="here")
    assert model.extra_parameters["vision"] == row["parameters"]
    text = sum(tensor.elements for tensor in model.tensors if tensor.role != HEAD)
    assert text == row["text_parameters"]
    assert not any("tower" in note for note in model.notes)
    folder = load_of(model, scheme="BF16")
    assert folder.weights_bytes == 2 * (model.parameters_total + row["parameters"])
    file = load_of(model, scheme="Q8_0")
    assert file.weights_bytes < 1.1 * model.parameters_total


PUBLISHED = {
    "llama-3.1-405b": 405_853_388_800,
    "mixtral-8x22b": 140_630_071_296,
    "phi-2": 2_779_683_840,
    "gpt-j-6b": 6_050_882_784,
    "gpt-neox-20b": 20_554_567_680,
    "bloom": 176_247_271_424,
    "opt-6.7b": 6_658_473_984,
    "falcon-40b": 41_303_293_952,
    "dbrx": 131_596_523_520,
    "command-r-plus": 103_810_674_688,
    "starcoder2-7b": 7_173_923_840,
    "glm-4-9b": 9_399_951_360,
    "olmoe-1b-7b": 6_919_161_856,
    "gemma-3-27b": 27_432_406_640,
    "qwen2.5-vl-72b": 73_410_777_344,
    "qwen3-vl-8b": 8_767_123_696,
    "llama-3.2-11b-vision": 10_670_220_835,
    "llama-4-scout": 108_641_793_536,
    "mistral-small-3.1-24b": 24_011_361_280,
}
"""As the hub counts them in the models' own files, towers for pictures included."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_public_names_have_what_their_files_have(name: str) -> None:
    model = served_model(config_named(name), name=name, source=name)
    whole = model.parameters_total + model.extra_parameters.get("vision", 0)
    assert whole == PUBLISHED[name]


GEMMA_3_4B = {
    "model_type": "gemma3",
    "text_config": {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "vision_config": {
        "hidden_size": 1152,
        "image_size": 896,
        "intermediate_size": 4304,
        "model_type": "siglip_vision_model",
        "num_hidden_layers": 27,
        "patch_size": 14,
        "vision_use_head": False,
    },
}
LLAVA = {
    "model_type": "llava",
    "text_config": {"model_type": "llama", "vocab_size": 32064, "max_position_embeddings": 4096},
    "tie_word_embeddings": False,
}
QWEN2_5_VL = {
    "model_type": "qwen2_5_vl",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
    "sliding_window": 32768,
    "use_sliding_window": False,
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
}


@pytest.mark.parametrize(
    ("config", "parameters", "token_bytes"),
    [
        (GEMMA_3_4B, ROWS["gemma-3-4b"]["parameters"], 34 * 2 * 4 * 256 * 2),
        (LLAVA, 6_738_939_904, 32 * 2 * 4096 * 2),
        (QWEN2_5_VL, 7_615_616_512, 28 * 2 * 4 * 128 * 2),
        ({"model_type": "x", "llm_config": QWEN2_5_VL}, 7_615_616_512, 28 * 2 * 4 * 128 * 2),
        (
            {"model_type": "x", "thinker_config": {"text_config": QWEN2_5_VL}},
            7_615_616_512,
            28 * 2 * 4 * 128 * 2,
        ),
    ],
    ids=["gemma 3, saved short", "llava, saved short", "flat", "llm_config", "nested twice"],
)
def test_the_text_part_of_a_larger_config_is_found_and_completed(
    config: dict[str, Any], parameters: int, token_bytes: int
) -> None:
    """A part is saved without what its class has anyway."""
    model = served_model(config, name="model", source="here")
    assert model.parameters_total == parameters
    assert kv_bytes_per_token(model) == token_bytes


def test_heads_and_widths_may_differ_by_layer() -> None:
    """OpenELM-270M, whose file on the hub has 271,527,168 numbers."""
    heads = [12] * 5 + [16] * 7 + [20] * 4
    config = {
        "model_type": "openelm",
        "model_dim": 1280,
        "num_transformer_layers": 16,
        "head_dim": 64,
        "vocab_size": 32000,
        "num_query_heads": heads,
        "num_kv_heads": [count // 4 for count in heads],
        "ffn_multipliers": [
            *(0.5, 0.73, 0.97, 1.2, 1.43, 1.67, 1.9, 2.13),
            *(2.37, 2.6, 2.83, 3.07, 3.3, 3.53, 3.77, 4.0),
        ],
        "ffn_dim_divisor": 256,
        "max_context_length": 2048,
    }
    model = served_model(config, name="openelm", source="here")
    assert model.parameters_total == 271_527_168
    assert kv_bytes_per_token(model) == 2 * 2 * 64 * sum(heads) // 4
    assert model.context == 2048
    with pytest.raises(UsageError, match="num_kv_heads"):
        served_model({**config, "num_kv_heads": [3]}, name="openelm", source="here")


def test_layers_that_share_a_cache_have_none() -> None:
    """Gemma 3n E4B: 20 of 35 layers cache, of which 16 see 512 tokens."""
    model = _model("gemma-3n-e4b")
    cell = 2 * 2 * 256 * 2
    assert kv_bytes_per_token(model) == 20 * cell
    assert kv_bytes(model, 10_000) == cell * (16 * 512 + 4 * 10_000)


@pytest.mark.parametrize("widths", [[], [16_384], [16_384] * 34 + [0], ["wide"] * 35])
def test_widths_are_one_for_each_layer(widths: list[object]) -> None:
    assert _model("gemma-3n-e4b", intermediate_size=[16_384] * 35).parameters_total > 0
    with pytest.raises(UsageError, match="'intermediate_size'"):
        _model("gemma-3n-e4b", intermediate_size=widths)


@pytest.mark.parametrize("rank", [None, 0])
def test_what_chooses_tokens_needs_the_queries_vector(rank: int | None) -> None:
    with pytest.raises(UsageError, match="'q_lora_rank'"):
        _model("glm-5", q_lora_rank=rank)


def test_a_text_has_no_cache_in_layers_that_look_at_pictures() -> None:
    name = "llama-3.2-11b-vision"
    model = served_model(config_named(name), name=name, source=name)
    assert kv_bytes_per_token(model) == 32 * 2 * 8 * 128 * 2


def test_gemma_4_has_wider_heads_and_fewer_keys_where_it_sees_everything() -> None:
    model = _model("gemma-4-31b")
    assert kv_bytes_per_token(model) == 2 * (50 * 2 * 16 * 256 + 10 * 2 * 4 * 512)


def test_an_unknown_family_with_experts_is_counted_with_them() -> None:
    """Read as a dense Llama it would have a sixtieth of its weights."""
    row = ROWS["glm-4.5-air"]["config"]
    model = served_model({**row, "model_type": "glm99_moe"}, name="model", source="here")
    assert "not known" in model.notes[0]
    assert model.parameters_total == pytest.approx(ROWS["glm-4.5-air"]["parameters"], rel=0.01)
    assert model.parameters_active < 0.15 * model.parameters_total


@pytest.mark.parametrize(
    "sign",
    [{"mamba_d_state": 16}, {"layer_types": ["linear_attention", "full_attention"]}],
    ids=["a key", "kinds of layers"],
)
def test_an_unknown_family_with_states_is_refused(sign: dict[str, object]) -> None:
    row = ROWS["llama-2-7b"]["config"]
    with pytest.raises(UsageError, match="keep a state"):
        served_model({**row, "model_type": "newest", **sign}, name="model", source="here")


def test_a_state_space_has_no_cache_and_states_that_do_not_grow() -> None:
    """64 layers of 8,192 channels: 16 numbers of state in f32, 4 of convolution in 16 bits."""
    model = _model("falcon-mamba-7b")
    assert kv_bytes_per_token(model) == 0
    each = 64 * 8192 * (16 * 4 + 4 * 2)
    assert kv_bytes(model, 100) == each
    assert kv_bytes(model, 100_000) == each
    assert kv_bytes(model, 100, rules=CacheRules(sequences=3)) == 3 * each


@pytest.mark.parametrize(
    ("name", "layers", "values"),
    [
        ("jamba-mini-1.5", 4, 2 * 8 * 128),
        ("qwen3-next-80b-a3b", 12, 2 * 2 * 256),
        ("granite-4.0-h-small", 4, 2 * 8 * 128),
        ("falcon-h1-7b", 44, 2 * 2 * 128),
        ("nemotron-h-8b", 4, 2 * 8 * 128),
    ],
    ids=["jamba", "qwen3-next", "granite-4", "falcon-h1", "nemotron-h"],
)
def test_only_attention_keeps_keys_and_values(name: str, layers: int, values: int) -> None:
    assert kv_bytes_per_token(_model(name)) == layers * values * 2


def test_chunked_attention_holds_one_chunk() -> None:
    """Three of four layers of Llama 4 see 8,192 tokens, and one sees all of them."""
    model = _model("llama-4-scout")
    cell = 2 * 8 * 128 * 2
    assert kv_bytes(model, 100_000) == cell * (36 * 8192 + 12 * 100_000)


def test_a_folder_of_a_hybrid_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(ROWS["jamba-mini-1.5"]["config"]))
    assert read_model(str(tmp_path)).parameters_total == ROWS["jamba-mini-1.5"]["parameters"]


def test_parts_that_are_not_counted_are_named() -> None:
    tower = served_model(
        {
            "model_type": "llama4",
            "text_config": ROWS["llama-4-scout"]["config"],
            "vision_config": {},
        },
        name="model",
        source="here",
    )
    assert tower.parameters_total == ROWS["llama-4-scout"]["parameters"]
    assert "vision_config" in tower.notes[0]
    assert "MTP" in _model("deepseek-v3", num_nextn_predict_layers=1).notes[0]


def test_layers_that_predict_further_tokens_are_counted_apart() -> None:
    """DeepSeek-V3's has 11.5B of its own (README_WEIGHTS.md of its release)."""
    plain = _model("deepseek-v3")
    model = _model("deepseek-v3", num_nextn_predict_layers=1)
    assert model.extra_parameters["mtp"] == pytest.approx(11.5e9, rel=0.01)
    assert model.parameters_total == plain.parameters_total
    assert plain.extra_parameters == {}


@pytest.mark.parametrize("family", sorted(UNSUPPORTED))
def test_a_family_that_is_not_supported_is_refused_by_name(family: str) -> None:
    """Its sizes read as Llama's would be wrong without a sign in any number."""
    row = {**next(iter(ROWS.values()))["config"], "model_type": family}
    for found in (row, {"text_config": row}):
        with pytest.raises(UsageError, match=f"'{family}' is not supported"):
            served_model(found, name=family, source="here")
