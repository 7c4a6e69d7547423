"""Which rule answers which published quantity."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from llmops_cli.plan import answers_sizes as sizes
from llmops_cli.plan import answers_train as train
from llmops_cli.plan.answers_drafts import speedup
from llmops_cli.plan.answers_speed import ENGINES, speed
from llmops_cli.plan.references import Answer, Reference
from llmops_cli.sizing.calibration import Group


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What all answers of a check share. `is_tuned`: the defaults' machines are known."""

    groups: tuple[Group, ...]
    is_tuned: bool


Rule = Callable[[Reference, Context], Answer]


def _speed(row: Reference, context: Context) -> Answer:
    return speed(row, context.groups, is_tuned=context.is_tuned)


ANSWERS: dict[str, Rule] = {
    "parameter_count": sizes.parameters,
    "gguf_file_size": sizes.file_size,
    "fp32_model_size": sizes.f32_size,
    "accelerate_total_size": sizes.total_size,
    "vllm_weights": sizes.weights,
    "kv_cache_size": sizes.cache_size,
    "kv_bytes_per_token": sizes.cache_per_token,
    "vllm_kv_cache_bytes": sizes.vllm_cache,
    "vllm_max_concurrency": sizes.vllm_concurrency,
    "vllm_kv_tokens": sizes.cache_tokens,
    "gpu_memory_parts": sizes.memory_parts,
    "gpu_memory_total": sizes.memory_total,
    "transformers_gpu_memory": sizes.torch_memory,
    "vram_full_offload_nonuma": sizes.full_offload,
    "deepspeed_zero2_gpu": sizes.zero_two,
    "deepspeed_zero2_cpu": sizes.zero_two_host,
    "deepspeed_zero3_gpu": sizes.zero_three,
    "deepspeed_zero3_cpu": sizes.zero_three_host,
    "gpu_spec": sizes.card,
    "train_memory_per_gpu": train.memory,
    "train_tps_per_gpu": train.speed,
    "train_mfu": train.utilisation,
    "training_time": train.days,
    "train_state_memory_per_gpu": train.states,
    "finetune_memory": train.fine_tuning,
    "speculation_speedup": speedup,
    **dict.fromkeys(ENGINES, _speed),
}
