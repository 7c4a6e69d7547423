"""What ZeRO cannot do exactly is refused with its reason; what it is told is read from settings."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

import torch

from _shared.protocol import JobError
from train.strategies.zero import refuse
from train.strategies.zero_engine import config_of

PLAIN = {
    "optimizer": "adamw",
    "precision": "f32",
    "ema_decay": 0.0,
    "offload": "none",
    "accumulate": 2,
    "clip_norm": 1.0,
}


def asked(**others) -> SimpleNamespace:
    return SimpleNamespace(**{**PLAIN, **others})


REFUSED = [
    (3, {"optimizer": "muon"}, "'muon' needs whole matrices"),
    (1, {"optimizer": "adafactor"}, "'adafactor' needs whole matrices"),
    (2, {"precision": "fp16"}, "scale losses twice"),
    (3, {"ema_decay": 0.99}, "averages no weights"),
    (2, {"offload": "parameters"}, "keeps the weights whole"),
]


@pytest.mark.parametrize(("stage", "others", "reason"), REFUSED)
def test_what_it_cannot_do_is_refused(stage: int, others: dict, reason: str) -> None:
    with pytest.raises(JobError, match=reason):
        refuse(asked(**others), stage)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_the_rest_is_taken(stage: int) -> None:
    refuse(asked(offload="optimizer"), stage)


def test_stage_offload_and_precision_are_what_deepspeed_is_told() -> None:
    config = config_of(torch.nn.Linear(4, 3), asked(offload="parameters", precision="bf16"), 3)
    zero = config["zero_optimization"]
    assert zero["stage"] == 3
    assert zero["reduce_bucket_size"] == 15
    assert zero["offload_optimizer"]["device"] == zero["offload_param"]["device"] == "cpu"
    assert config["torch_autocast"]["dtype"] == "bfloat16"
    assert config["gradient_accumulation_steps"] == 2
    plain = config_of(torch.nn.Linear(4, 3), asked(), 1)
    assert "offload_optimizer" not in plain["zero_optimization"]
    assert "torch_autocast" not in plain
