"""What is no causal model is refused before any work, in a dry run as well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.train.config_file import config_of
from llmops_cli.train.planned import dry_run_of
from llmops_cli.train.recipe import TrainRecipe
from llmops_cli.train.trainable import ACTIVATIONS, refuse_untrainable
from tests.unit.sizing.configs import LLAMA_3_8B, TINY


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"quantization_config": {"quant_method": "awq"}}, "quantized"),
        ({"model_type": "bert"}, "encoder"),
        ({"num_key_value_heads": 3}, r"num_attention_heads \(32\) does not divide"),
        ({"hidden_size": 4100}, r"hidden_size \(4100\) does not divide"),
        ({"hidden_size": "4096"}, "hidden_size is '4096'"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
        ({"vocab_size": True}, "vocab_size is True"),
        ({"hidden_act": "foo"}, "unknown hidden_act 'foo'"),
        ({"model_type": None}, "no model_type"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**LLAMA_3_8B, **change}))
    with pytest.raises(UsageError, match=said) as caught:
        dry_run_of(TrainRecipe(init=str(path), gpu="h100"), {})
    assert caught.value.hint


def test_a_causal_model_is_taken_and_a_decoder_of_an_encoders_family() -> None:
    refuse_untrainable(LLAMA_3_8B, "llama")
    refuse_untrainable({"model_type": "bert", "is_decoder": True}, "bert")


def test_a_configuration_that_is_nested_too_deep_is_said(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("[" * 20_000)
    with pytest.raises(UsageError, match="no configuration of a model"):
        config_of(TrainRecipe(init=str(path)), None)


@pytest.mark.parametrize("name", TINY)
def test_every_family_that_is_known_is_taken(name: str) -> None:
    refuse_untrainable(TINY[name], name)


def test_heads_of_a_size_of_their_own_need_not_divide() -> None:
    refuse_untrainable({**TINY["qwen3"], "hidden_size": 66}, "qwen3")
    refuse_untrainable({**TINY["gemma2"], "hidden_size": 66, "head_dim": None}, "gemma2")


def test_activations_are_those_of_transformers() -> None:
    theirs = pytest.importorskip("transformers.activations")
    assert set(theirs.ACT2CLS) >= ACTIVATIONS
