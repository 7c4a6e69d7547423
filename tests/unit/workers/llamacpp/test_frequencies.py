"""Rotary frequencies are Transformers' own, whatever the scaling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("gguf", reason="gguf is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

import gguf
import transformers

from _shared.protocol import JobError
from llamacpp.defaults import complete
from llamacpp.frequencies import rotation_of
from llamacpp.rope import rope_of, rope_parameters

SIZES = {"hidden_size": 256, "num_attention_heads": 4, "max_position_embeddings": 1024}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}
FACTORS = {"short_factor": [1.0 + n / 9 for n in range(32)], "long_factor": [3.0] * 32}
LONG = {"rope_type": "longrope", "original_max_position_embeddings": 256, **FACTORS}
SCALINGS: dict[str, dict[str, Any]] = {
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 128,
    },
    "yarn": YARN,
    "yarn-attention": {**YARN, "attention_factor": 0.8},
    "yarn-mscale": {**YARN, "mscale": 0.7, "mscale_all_dim": 1.2},
    "yarn-one-mscale": {**YARN, "mscale": 0.7},
    "yarn-smooth": {**YARN, "truncate": False, "beta_fast": 16, "beta_slow": 2},
    "yarn-no-original": {"rope_type": "yarn", "factor": 4.0},
    "longrope": LONG,
    "longrope-factor": {**LONG, "factor": 32.0},
    "longrope-attention": {**LONG, "attention_factor": 1.5},
}
ARCHITECTURE = gguf.MODEL_ARCH.LLAMA


def config_of(scaling: dict[str, Any]) -> dict[str, Any]:
    given = {**SIZES, "rope_parameters": {"rope_theta": 1e6, **scaling}}
    return complete(given, "LlamaForCausalLM")


@pytest.mark.parametrize("name", sorted(SCALINGS))
def test_they_are_transformers_own(name: str) -> None:
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    config = config_of(SCALINGS[name])
    rope = rope_parameters(config, ARCHITECTURE)
    ours = rotation_of(rope, 64, config)
    theirs = transformers.LlamaConfig(**SIZES, rope_parameters=dict(config["rope_parameters"]))
    frequencies, attention = ROPE_INIT_FUNCTIONS[rope["rope_type"]](theirs, "cpu")
    assert ours.frequencies == pytest.approx(frequencies.numpy(), rel=1e-5)
    assert ours.attention == pytest.approx(attention)


def test_either_generation_of_configs_says_the_same() -> None:
    old = {**SIZES, "rope_theta": 5.0, "rope_scaling": {"type": "linear", "factor": 2.0}}
    new = {**SIZES, "rope_parameters": {"rope_theta": 5.0, "rope_type": "linear", "factor": 2.0}}
    ropes = [rope_of(complete(each, "LlamaForCausalLM"), ARCHITECTURE) for each in (old, new)]
    assert ropes[0] == ropes[1]
    assert (ropes[0].theta, ropes[0].factor) == (5.0, 2.0)


def test_llama_takes_any_frequencies_as_factors_and_qwen_says_what_it_lacks() -> None:
    config = config_of(SCALINGS["yarn-smooth"])
    ((name, factors),) = rope_of(config, ARCHITECTURE).tensors
    assert name == "rope_freqs.weight"
    assert factors[0] == 1.0
    assert factors[-1] == pytest.approx(4.0)
    assert np.all(np.diff(factors) >= 0)
    with pytest.raises(JobError, match=r"llama\.cpp's qwen2 has no frequency factors"):
        rope_of(config, gguf.MODEL_ARCH.QWEN2)


def test_a_part_of_a_head_turns_in_phi3_alone() -> None:
    given = {**SIZES, "rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}
    phi3 = rope_of(complete(given, "Phi3ForCausalLM"), gguf.MODEL_ARCH.PHI3)
    llama = rope_of(complete(given, "LlamaForCausalLM"), ARCHITECTURE)
    assert (phi3.dimensions, llama.dimensions) == (32, 64)
    bounds = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    given["rope_parameters"] |= {"rope_type": "llama3", **bounds}
    with pytest.raises(JobError, match="turns whole heads"):
        rope_of(complete(given, "LlamaForCausalLM"), ARCHITECTURE)
