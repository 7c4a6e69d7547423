"""What sizing says without torch, against what Transformers and torch then make."""

from __future__ import annotations

import pytest

from llmops_cli.sizing.families import architecture_of
from llmops_cli.sizing.parameters import tensors_of
from tests.unit.sizing.configs import PUBLISHED, TINY, Config


@pytest.mark.parametrize("name", [*TINY, *PUBLISHED])
def test_each_tensor_is_that_of_transformers(name: str) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config: Config = dict(TINY[name] if name in TINY else PUBLISHED[name][0])
    made = transformers.AutoConfig.for_model(**config)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(made)
    theirs = {key: tuple(value.shape) for key, value in model.named_parameters()}
    ours = {tensor.name: tensor.shape for tensor in tensors_of(architecture_of(config))}
    assert ours == theirs
