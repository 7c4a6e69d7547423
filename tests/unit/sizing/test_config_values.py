"""Configs that make no sense are refused in one line, before anything is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.served_models import read_model, served_model
from tests.unit.sizing.configs import MOE, SMALL, Config

LLAMA: Config = {"model_type": "llama", **SMALL}
MAMBA: Config = {
    "model_type": "mamba",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "vocab_size": 300,
}
BAD: dict[str, tuple[Config, str]] = {
    "negative layers": ({**LLAMA, "num_hidden_layers": -3}, "'num_hidden_layers': -3"),
    "ten million layers": ({**LLAMA, "num_hidden_layers": 10**7}, "10,000,000 layers"),
    "heads that do not divide": ({**LLAMA, "num_key_value_heads": 3}, "no multiple"),
    "a hidden size that does not": (
        {**LLAMA, "num_attention_heads": 6, "num_key_value_heads": 6},
        "no multiple",
    ),
    "no heads": ({**LLAMA, "num_key_value_heads": 0}, "'num_key_value_heads': 0"),
    "a huge vocabulary": ({**LLAMA, "vocab_size": 10**12}, "'vocab_size'"),
    "a number of 400 digits": ({**LLAMA, "hidden_size": 10**400}, "'hidden_size'"),
    "a text for a number": ({**LLAMA, "hidden_size": "64"}, "'hidden_size': '64'"),
    "true for a number": ({**LLAMA, "hidden_size": True}, "'hidden_size': True"),
    "part of a number": ({**LLAMA, "hidden_size": 64.5}, "'hidden_size': 64.5"),
    "a negative head": ({**LLAMA, "head_dim": -4}, "'head_dim': -4"),
    "a negative window": ({**LLAMA, "sliding_window": -4}, "'sliding_window': -4"),
    "a text for a switch": ({**LLAMA, "tie_word_embeddings": "no"}, "'tie_word_embeddings'"),
    "a family that is no text": ({**LLAMA, "model_type": ["llama"]}, "'model_type'"),
    "an encoder": ({**LLAMA, "model_type": "t5", "is_encoder_decoder": True}, "encoder"),
    "a text part that is none": ({"model_type": "gemma3", "text_config": "x"}, "'text_config'"),
    "no text part": ({"model_type": "gemma3", "vision_config": {}}, "'num_hidden_layers'"),
    "more experts than there are": (
        {"model_type": "qwen3_moe", **MOE, "num_experts_per_tok": 8},
        "more than 'num_experts' 4",
    ),
    "layers in no step": (
        {"model_type": "qwen3_moe", **MOE, "decoder_sparse_step": 0},
        "'decoder_sparse_step': 0",
    ),
    "a pattern of zero": (
        {"model_type": "gemma2", **SMALL, "sliding_window": 8, "sliding_window_pattern": 0},
        "'sliding_window_pattern': 0",
    ),
    "a state of no size": ({**MAMBA, "state_size": 0}, "'state_size': 0"),
    "an unknown sign": (
        {**LLAMA, "model_type": "nemotron_h", "hybrid_override_pattern": "MX"},
        "'hybrid_override_pattern'",
    ),
    "too few kinds of layers": (
        {**LLAMA, "model_type": "qwen3_next", "layer_types": ["full_attention"]},
        "1 'layer_types' for 3 layers",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_makes_no_sense_is_one_line(case: str) -> None:
    config, said = BAD[case]
    with pytest.raises(UsageError, match=said) as caught:
        served_model(config, name="model", source="here")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(("family", "nearest"), [("qwen33", "qwen3"), ("jambaa", "jamba")])
def test_an_unknown_family_is_read_as_llamas_and_names_the_nearest(
    family: str,
    nearest: str,
) -> None:
    model = served_model({**LLAMA, "model_type": family}, name="model", source="here")
    known = served_model(LLAMA, name="model", source="here")
    assert model.parameters_total == known.parameters_total
    assert f"'{family}' is not known" in model.notes[0]
    assert f"did you mean '{nearest}'?" in model.notes[0]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"hidden_size": Nan}'])
def test_what_is_no_json_object_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UsageError, match="is not JSON"):
        read_model(str(tmp_path / "config.json"))


def test_null_is_a_key_that_is_not_there() -> None:
    config = json.loads(json.dumps({**LLAMA, "head_dim": None, "sliding_window": None}))
    model = served_model(config, name="model", source="here")
    assert (
        model.parameters_total == served_model(LLAMA, name="model", source="here").parameters_total
    )
