"""Parameters by tensor; that they are Transformers' is in tests/integration/test_sizing.py."""

from __future__ import annotations

import math

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.families import architecture_of
from llmops_cli.sizing.parameters import active_count, parameter_count, tensors_of
from tests.unit.sizing.configs import PUBLISHED, TINY


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_have_their_published_size(name: str) -> None:
    config, parameters = PUBLISHED[name]
    assert parameter_count(architecture_of(config)) == parameters


def test_a_token_meets_its_own_experts_alone() -> None:
    config, _ = PUBLISHED["Qwen3-30B-A3B"]
    assert active_count(architecture_of(config)) == pytest.approx(3.35e9, rel=0.01)


def test_pieces_of_a_tensor_group_cover_the_whole() -> None:
    for config in TINY.values():
        for tensor in tensors_of(architecture_of(config)):
            for ways in (2, 3, 7):
                piece = tensor.split_shape(ways)
                assert math.prod(piece) <= tensor.elements
                assert math.prod(piece) * ways >= tensor.elements
                assert tensor.elements_split(ways) == math.prod(piece)


def test_a_family_that_is_not_known_is_read_as_llama_and_says_so() -> None:
    config = {**TINY["llama"], "model_type": "new"}
    architecture = architecture_of(config)
    assert parameter_count(architecture) == parameter_count(architecture_of(TINY["llama"]))
    assert "not known" in architecture.notes[0]


def test_the_text_part_of_a_model_with_pictures_is_read() -> None:
    text = {key: value for key, value in TINY["gemma3"].items() if key != "model_type"}
    config = {"model_type": "gemma3", "text_config": {**text, "model_type": "gemma3_text"}}
    assert parameter_count(architecture_of(config)) == parameter_count(
        architecture_of(TINY["gemma3"])
    )


@pytest.mark.parametrize("missing", ["hidden_size", "vocab_size", "num_hidden_layers"])
def test_a_config_that_is_no_decoders_is_refused(missing: str) -> None:
    config = {key: value for key, value in TINY["llama"].items() if key != missing}
    with pytest.raises(UsageError, match=missing):
        architecture_of(config)


@pytest.mark.parametrize("family", ["gemma3n", "gemma4_text", "openelm"])
def test_what_is_counted_for_serving_alone_is_not_read_as_another_for_training(family: str) -> None:
    with pytest.raises(UsageError, match=f"'{family}' is not supported"):
        architecture_of({"model_type": family, "num_hidden_layers": 2})
