"""What DeepSpeed's JSON becomes, and what is refused with its line."""

from __future__ import annotations

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.train.foreign.deepspeed import read_deepspeed, taken_from_deepspeed

USUAL = """{
\t"bf16": {"enabled": true},
\t"fp16": {"enabled": false},
\t"zero_optimization": {
\t\t"stage": 3,
\t\t"offload_optimizer": {"device": "cpu", "pin_memory": true},
\t\t"offload_param": {"device": "cpu", "pin_memory": true},
\t\t"overlap_comm": true,
\t\t"reduce_bucket_size": "auto",
\t\t"sub_group_size": 1e9
\t},
\t"optimizer": {
\t\t"type": "AdamW",
\t\t"params": {"lr": 1e-5, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": "auto"}
\t},
\t"gradient_accumulation_steps": 4,
\t"gradient_clipping": 0.5,
\t"train_batch_size": 64,
\t"train_micro_batch_size_per_gpu": "auto",
\t"steps_per_print": 2000
}"""


def test_a_usual_file_becomes_options_with_their_lines() -> None:
    found = taken_from_deepspeed(USUAL, "ds.json")
    assert found.values == {
        "precision": "bf16",
        "strategy": "zero3",
        "offload": "parameters",
        "optimizer": "adamw",
        "learning_rate": 1e-5,
        "beta1": 0.9,
        "beta2": 0.95,
        "accumulate": 4,
        "clip_norm": 0.5,
        "batch_size": 64,
    }
    assert found.origins["strategy"] == "ds.json:5"
    assert found.origins["learning_rate"] == "ds.json:14"
    assert found.origins["batch_size"] == "ds.json:18"
    assert "ds.json:20: 'steps_per_print' changes no result and is left out" in found.notes


def test_a_size_per_gpu_is_that_of_the_batch_once_ranks_are_known() -> None:
    text = '{"train_micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 4}'
    assert taken_from_deepspeed(text, "f", ranks=8).values["batch_size"] == 64
    with pytest.raises(UsageError, match=r"f:1: 'train_micro_batch_size_per_gpu: 2' says no size"):
        taken_from_deepspeed(text, "f")


def test_three_sizes_that_do_not_agree_are_refused() -> None:
    text = '{"train_batch_size": 64,\n"train_micro_batch_size_per_gpu": 3}'
    with pytest.raises(UsageError, match="is 24, and f:1 says 64"):
        taken_from_deepspeed(text, "f", ranks=8)


REFUSED = {
    '{"zero_optimization": {\n"stage": 4}}': r"f:2: 'zero_optimization.stage: 4' is no stage",
    '{"zero_optimization": {"stage": 2,\n\n"offload_optimizer": {"device": "nvme"}}}': "f:3",
    '{"zero_optimization": {"offload_param": {"device": "cpu"}}}': "offloads parameters alone",
    '{"optimizer": {"type": "OneBitAdam"}}': "'optimizer.type: OneBitAdam' has no counterpart",
    '{"optimizer": {"params": {"eps": 1e-6}}}': "AdamW has 1e-08 here",
    '{"scheduler": {"type": "WarmupLR"}}': "warms up by a logarithm",
    '{"scheduler": {"type": "OneCycle", "params": {"warmup_type": "linear"}}}': "no counterpart",
    '{"fp16": {"enabled": true, "loss_scale": 128}}': "fp16.loss_scale: 128",
    '{"pipeline": {"stages": 2}}': "'pipeline.stages: 2' has no counterpart",
    '{"tensor_parallel": {"autotp_size": 4}}': "autotp_size: 4",
    '{"zero_optimization": {"zero_quantized_weights": true}}': "zero_quantized_weights: True",
    '{"gradient_acumulation_steps": 4}': "'gradient_acumulation_steps: 4' has no counterpart",
    '{"train_batch_size": true}': "is no whole number",
    '{"a": 1,\n "a": 2}': "says 'a' twice",
    '{"a": 1,\n b}': "f:2: no JSON",
    "[]": "is no JSON object",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_has_no_counterpart_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(UsageError, match=REFUSED[text]):
        taken_from_deepspeed(text, "f")


def test_a_typing_error_is_told_the_key_it_looks_like() -> None:
    with pytest.raises(UsageError) as told:
        taken_from_deepspeed('{"gradient_cliping": 1.0}', "f")
    assert told.value.hint == "did you mean 'gradient_clipping'?"


def test_a_schedule_with_a_linear_warm_up_is_taken() -> None:
    text = """{"scheduler": {"type": "WarmupDecayLR", "params": {"warmup_type": "linear",
        "warmup_min_lr": 0, "warmup_max_lr": 3e-4, "warmup_num_steps": 100,
        "total_num_steps": 1000}}}"""
    assert taken_from_deepspeed(text, "f").values == {
        "schedule": "linear",
        "learning_rate": 3e-4,
        "warmup_steps": 100,
        "steps": 1000,
    }


def test_both_precisions_off_is_f32_and_auto_is_ours_to_say() -> None:
    off = '{"bf16": {"enabled": false}, "fp16": {"enabled": false}}'
    assert taken_from_deepspeed(off, "f").values == {"precision": "f32"}
    assert taken_from_deepspeed('{"bf16": {"enabled": "auto"}}', "f").values == {}


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_deepspeed(tmp_path / "none.json")
