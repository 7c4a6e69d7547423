"""Experts are written by the names from which Transformers merges them."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers", reason="transformers is not installed")

import torch

from _shared.protocol import JobError
from quantize.experts import expert_names, kept_otherwise, name_as_on_disk
from tests.expert_models import blank_model

SAME = {name: name for name in ("gate_proj", "up_proj", "down_proj")}


@pytest.mark.parametrize(
    ("model_type", "names"),
    [
        ("mixtral", {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}),
        ("qwen2_moe", SAME),
        ("qwen3_moe", SAME),
        ("deepseek_v2", SAME),
        ("deepseek_v3", SAME),
    ],
)
def test_names_are_those_of_the_architecture(model_type: str, names: dict[str, str]) -> None:
    assert expert_names(blank_model(model_type)).on_disk == names


def test_experts_that_transformers_does_not_merge_are_refused() -> None:
    with pytest.raises(JobError, match="GptOssForCausalLM") as refused:
        expert_names(blank_model("gpt_oss"))
    assert refused.value.hint == "--method gguf"


def test_layers_of_experts_are_renamed_and_no_others() -> None:
    expert = torch.nn.ModuleDict({name: torch.nn.Linear(2, 2, bias=False) for name in SAME})
    block = torch.nn.ModuleDict({"experts": torch.nn.ModuleList([expert])})
    block["shared"] = torch.nn.ModuleDict({"gate_proj": torch.nn.Linear(2, 2, bias=False)})
    model = torch.nn.ModuleDict({"mlp": block})
    name_as_on_disk(model, expert_names(blank_model("mixtral")))
    assert sorted(model.state_dict()) == [
        "mlp.experts.0.w1.weight",
        "mlp.experts.0.w2.weight",
        "mlp.experts.0.w3.weight",
        "mlp.shared.gate_proj.weight",
    ]


@pytest.mark.parametrize(
    ("scheme", "is_told"),
    [("W4A16", False), ("FP8_DYNAMIC", False), ("W4A16_ASYM", True), ("W8A8", True), ("FP8", True)],
)
def test_what_experts_cannot_be_is_told(scheme: str, is_told: bool) -> None:
    assert bool(kept_otherwise({"scheme": scheme, "bits": 4})) is is_told
