"""How much of a model was quantized is counted in what was written, whatever a library says."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="transformers is not installed")

import torch
from safetensors.torch import load_file, save_file

from _shared.protocol import JobError
from quantize.counted import quantized_weights, require_some
from quantize.plan import Plan, plan_of
from tests.expert_models import random_model
from tests.unit.workers.quantize.test_plan import JOB


def written(folder: Path, model_type: str) -> tuple[Plan, object]:
    model = random_model(model_type)
    model.save_pretrained(folder)
    quantizer = "bitsandbytes" if model_type == "gpt2" else "llmcompressor"
    return plan_of(model, {**JOB, "quantizer": quantizer}), model


def pack(folder: Path, *names: str) -> int:
    """Four bits for tensors whose names end so, with scales; returns how many weights they had."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    count = 0
    for name in list(tensors):
        if name.endswith(names):
            weight = tensors.pop(name)
            count += weight.numel()
            stem = name.removesuffix(".weight")
            rows, columns = weight.shape
            tensors[f"{stem}.weight_packed"] = torch.zeros(rows, columns // 8, dtype=torch.int32)
            tensors[f"{stem}.weight_scale"] = torch.zeros(rows, columns // 32)
    save_file(tensors, path, metadata={"format": "pt"})
    return count


@pytest.mark.parametrize("model_type", ["llama", "mixtral", "gpt2"])
def test_plain_weights_do_not_count(model_type: str, tmp_path: Path) -> None:
    plan, model = written(tmp_path, model_type)
    count = quantized_weights(tmp_path, plan, model)
    assert count == 0
    with pytest.raises(JobError, match="quantized none of"):
        require_some(count, plan, "a library")


def test_only_what_was_packed_counts(tmp_path: Path) -> None:
    plan, model = written(tmp_path, "mixtral")
    attention = pack(tmp_path, "q_proj.weight", "o_proj.weight")
    assert quantized_weights(tmp_path, plan, model) == attention
    experts = pack(tmp_path, "w1.weight", "w2.weight", "w3.weight")
    assert quantized_weights(tmp_path, plan, model) == attention + experts
    pack(tmp_path, "k_proj.weight", "v_proj.weight")
    assert quantized_weights(tmp_path, plan, model) == plan.weights
    require_some(plan.weights, plan, "a library")
