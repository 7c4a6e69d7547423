"""What cannot be quantized, and groups that do not fit, are refused before a model is loaded."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("transformers", reason="transformers is not installed")

from _shared.protocol import JobError
from quantize.plan import fitting_groups, plan_of
from tests.expert_models import blank_model

JOB: dict[str, Any] = {
    "method": "int4",
    "quantizer": "llmcompressor",
    "scheme": "W4A16",
    "group_size": 32,
    "ignore": ["lm_head"],
}


def plan(model_type: str, model_fields: dict[str, Any] | None = None, **job: Any) -> Any:
    return plan_of(blank_model(model_type, **(model_fields or {})), {**JOB, **job})


def refusal(model_type: str, **job: Any) -> JobError:
    with pytest.raises(JobError) as refused:
        plan(model_type, **job)
    assert refused.value.kind == "UsageError"
    return refused.value


def test_experts_are_planned_and_routers_kept() -> None:
    found = plan("qwen2_moe")
    assert found.has_experts
    assert "model.layers.0.mlp.shared_expert_gate" in found.kept
    assert "lm_head" in found.kept
    assert not any(matrix.name in found.kept for matrix in found.matrices)


@pytest.mark.parametrize("quantizer", ["bitsandbytes", "torchao", "gptqmodel", "auto-round"])
def test_a_library_that_would_leave_the_experts_says_how_much_that_is(quantizer: str) -> None:
    error = refusal("mixtral", quantizer=quantizer, group_size=-1)
    assert "89% of its weights" in error.message
    assert error.hint


@pytest.mark.parametrize("quantizer", ["llmcompressor", "torchao", "gptqmodel", "auto-round"])
def test_conv1d_is_refused_where_nothing_would_be_quantized(quantizer: str) -> None:
    error = refusal("gpt2", quantizer=quantizer)
    assert "Conv1D" in error.message
    assert "bitsandbytes" in str(error.hint)


def test_conv1d_is_planned_where_it_works() -> None:
    assert plan("gpt2", quantizer="bitsandbytes", method="nf4", group_size=-1).weights > 0


@pytest.mark.parametrize(
    ("columns", "sizes"),
    [
        (192, "64, 32, 192, 96, 48, 24"),  # the 576 and 1,536 columns of SmolLM2-135M
        (512, "128, 64, 32, 512, 256, 16"),
        (200, "200, 100, 50, 40, 25, 20"),
        (4, "4"),
    ],
)
def test_sizes_that_engines_serve_are_told_first(columns: int, sizes: str) -> None:
    assert fitting_groups(columns) == sizes


@pytest.mark.parametrize(
    ("model_type", "group_size", "sizes"),
    [
        ("llama", 128, "64, 32, 16, 8 "),
        ("llama", 48, "64, 32, 16, 8 "),
        ("mixtral", 128, "64, 32, 16, 8 "),
        ("qwen3_moe", 64, "32, 16, 8 "),
        ("deepseek_v3", 64, "32, 16, 8 "),
    ],
)
def test_sizes_that_divide_every_matrix_are_told(
    model_type: str, group_size: int, sizes: str
) -> None:
    error = refusal(model_type, group_size=group_size)
    assert str(group_size) in error.message
    assert sizes in str(error.hint)
    largest = int(sizes.split(",")[0])
    assert plan(model_type, group_size=largest).weights


def test_blocks_must_divide_too() -> None:
    error = refusal("llama", method="fp8", scheme="FP8_BLOCK", group_size=-1)
    assert "64 x 64" in error.message
    wide = {"hidden_size": 512, "num_key_value_heads": 4}
    assert plan("llama", wide, method="fp8", scheme="FP8_BLOCK", group_size=-1).weights


def test_ignored_matrices_need_no_groups_and_unknown_names_are_refused() -> None:
    narrow = {"intermediate_size": 96}
    with pytest.raises(JobError, match="96 columns"):
        plan("llama", narrow, group_size=64)
    assert plan("llama", narrow, group_size=64, ignore=["down_proj"]).weights
    assert "--ignore dwn_proj" in refusal("llama", ignore=["dwn_proj"]).message
    assert "nothing" in refusal("llama", ignore=["model"]).message


def test_a_kv_cache_leaves_the_weights_of_any_model() -> None:
    assert plan("gpt2", method="kv-cache", group_size=128)
