"""Published configurations, counted as Transformers' own classes count them on a meta device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.cache_rules import CacheRules
from llmops_cli.sizing.families import UNSUPPORTED
from llmops_cli.sizing.served import ServedModel, kv_bytes, kv_bytes_per_token, weights_bytes
from llmops_cli.sizing.served_models import read_model, served_model

PATH = Path(__file__).parent.parent.parent / "data" / "configurations.json"
ROWS: dict[str, dict[str, Any]] = {row["name"]: row for row in json.loads(PATH.read_text())}
"""Written by benchmarks/configurations.py."""


def _model(name: str, **changes: object) -> ServedModel:
    return served_model({**ROWS[name]["config"], **changes}, name=name, source="here")


@pytest.mark.parametrize("name", ROWS)
def test_parameters_are_those_of_transformers(name: str) -> None:
    row = ROWS[name]
    model = _model(name)
    assert model.parameters_total == row["parameters"]
    assert weights_bytes(model, "BF16") == 2 * row["parameters"]
    assert model.notes == ()


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
