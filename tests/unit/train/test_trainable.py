"""What is no causal model is refused before any work, in a dry run as well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.train.planned import config_of, dry_run_of
from llmops_cli.train.recipe import TrainRecipe
from llmops_cli.train.trainable import refuse_untrainable
from tests.unit.sizing.configs import LLAMA_3_8B


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"quantization_config": {"quant_method": "awq"}}, "quantized"),
        ({"model_type": "bert"}, "encoder"),
        ({"num_key_value_heads": 3}, "does not divide"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**LLAMA_3_8B, **change}))
    with pytest.raises(UsageError, match=said):
        dry_run_of(TrainRecipe(init=str(path), gpu="h100"))


def test_a_causal_model_is_taken_and_a_decoder_of_an_encoders_family() -> None:
    refuse_untrainable(LLAMA_3_8B, "llama")
    refuse_untrainable({"model_type": "bert", "is_decoder": True}, "bert")


def test_a_configuration_that_is_nested_too_deep_is_said(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("[" * 20_000)
    with pytest.raises(UsageError, match="no configuration of a model"):
        config_of(TrainRecipe(init=str(path)), None)
