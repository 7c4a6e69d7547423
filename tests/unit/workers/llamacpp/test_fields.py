"""Values in config.json that no model is built from are refused by name, and end nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf", reason="gguf is not installed")

from _shared.protocol import JobError
from llamacpp.architectures import ARCHITECTURES, read_config
from llamacpp.rope import rope_of

OF_ALL = ("vocab_size", "hidden_size", "num_attention_heads", "rms_norm_eps", "num_hidden_layers")
SMALL = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}


def read(folder: Path, architecture: str = "LlamaForCausalLM", **given: Any) -> dict[str, Any]:
    config = {"architectures": [architecture], **SMALL, **given}
    (folder / "config.json").write_text(json.dumps(config))
    fields, _ = read_config(folder)
    return fields


def turn(folder: Path, architecture: str = "LlamaForCausalLM", **given: Any) -> object:
    fields = read(folder, architecture, **given)
    return rope_of(fields, ARCHITECTURES[architecture].gguf)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
@pytest.mark.parametrize("value", [None, "7", [7], {}, -1, float("nan")], ids=str)
@pytest.mark.parametrize("name", OF_ALL)
def test_a_value_of_another_kind_is_refused(
    tmp_path: Path, architecture: str, name: str, value: object
) -> None:
    with pytest.raises(JobError, match=f"config.json: {name} is "):
        read(tmp_path, architecture, **{name: value})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
        ({"num_hidden_layers": 2.5}, r"num_hidden_layers is 2\.5"),
        ({"num_hidden_layers": True}, "num_hidden_layers is True"),
        ({"num_hidden_layers": 10**9}, "from 1 to 512"),
        ({"num_key_value_heads": 3}, "4 attention heads cannot share 3"),
        ({"hidden_act": None}, "hidden_act is None"),
        ({"attention_bias": "no"}, "attention_bias is 'no'"),
        ({"text_config": [1]}, "text_config is"),
    ],
    ids=str,
)
def test_sizes_that_no_model_has(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(JobError, match=message):
        read(tmp_path, **given)


@pytest.mark.parametrize(
    "given",
    [
        {"num_key_value_heads": None, "head_dim": None},
        {"attention_bias": None, "tie_word_embeddings": None},
        {"rms_norm_eps": 0},
        {"text_config": None},
        {"sliding_window": 8, "layer_types": ["sliding_attention"]},
    ],
    ids=str,
)
def test_what_means_the_default_is_taken(tmp_path: Path, given: dict[str, Any]) -> None:
    assert read(tmp_path, **given)["num_attention_heads"] == 4


@pytest.mark.parametrize(
    ("rope", "message"),
    [
        ({"rope_theta": 0}, "rope_theta of the rotary embedding is 0"),
        ({"rope_theta": "1e4"}, "rope_theta of the rotary embedding is '1e4'"),
        ({"rope_theta": None}, "without rope_theta"),
        ({"rope_type": "linear"}, "'linear' without factor"),
        ({"rope_type": "linear", "factor": -2.0}, r"factor .* is -2\.0"),
        ({"rope_type": "llama3", "factor": 8.0}, "without low_freq_factor, high_freq_factor"),
        ({"rope_type": "longrope", "short_factor": [1, "2"]}, "short_factor"),
        ({"rope_type": "yarn", "factor": 4.0, "beta_fast": "fast"}, "beta_fast"),
    ],
    ids=str,
)
def test_parameters_that_no_angle_is_computed_from(
    tmp_path: Path, rope: dict[str, Any], message: str
) -> None:
    with pytest.raises(JobError, match=message):
        turn(tmp_path, rope_parameters={"rope_theta": 1e4, **rope})
    of_layers = {"full_attention": {"rope_theta": 1e6, **rope}}
    with pytest.raises(JobError, match=message):
        turn(tmp_path, "Gemma3ForCausalLM", rope_parameters=of_layers)


@pytest.mark.parametrize("name", ["rope_parameters", "rope_scaling"])
def test_parameters_that_are_no_object(tmp_path: Path, name: str) -> None:
    with pytest.raises(JobError, match=f"{name} is 'linear', not an object"):
        turn(tmp_path, **{name: "linear"})


@pytest.mark.parametrize("architecture", ["LlamaForCausalLM", "Gemma3ForCausalLM"])
def test_heads_of_an_odd_size_cannot_be_turned_in_pairs(tmp_path: Path, architecture: str) -> None:
    with pytest.raises(JobError, match="15 of 15 values of a head turn"):
        turn(tmp_path, architecture, head_dim=15)


def test_a_share_of_a_head_that_is_odd_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="9 of 16 values of a head turn"):
        turn(tmp_path, "Phi3ForCausalLM", partial_rotary_factor=0.6)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_null_says_that_there_is_none_whatever_the_default(
    tmp_path: Path, architecture: str
) -> None:
    caps = {"final_logit_softcapping": None, "attn_logit_softcapping": None}
    sizes = {"num_key_value_heads": None, "head_dim": None, "sliding_window": None}
    fields = read(tmp_path, architecture, **caps, **sizes, layer_types=None)
    assert (fields["num_key_value_heads"], fields["head_dim"]) == (4, 16)


def test_what_other_classes_read_is_nothing_to_this_one(tmp_path: Path) -> None:
    fields = read(tmp_path, sliding_window=8, layer_types=["sliding_attention"] * 32)
    assert "sliding_window" not in fields
    assert "layer_types" not in fields
    mistral = read(tmp_path, "MistralForCausalLM", sliding_window=8, attention_bias=True)
    assert mistral["sliding_window"] == 8
    assert "attention_bias" not in mistral
    assert read(tmp_path, "Qwen2ForCausalLM", head_dim=32)["head_dim"] == 32
