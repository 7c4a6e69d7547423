"""DeepSpeed's JSON (https://www.deepspeed.ai/docs/config-json/) as options of `llmops train`."""

from __future__ import annotations

from pathlib import Path

from llmops_cli.train.foreign.lines import AUTO, Leaf, Leaves, json_leaves, text_of
from llmops_cli.train.foreign.rules import (
    Foreign,
    Rule,
    Values,
    apply,
    choice,
    float_of,
    integer,
    number,
    only,
    quiet,
    refusal,
    switch,
)

STAGES = {0: "ddp", 1: "zero1", 2: "zero2", 3: "zero3"}
NO_ZERO_PP = "--strategy fsdp+pp or pp"
NO_ZERO_TP = "--strategy fsdp+tp or tp"
EPSILON = 1e-8
"""That of our AdamW."""


def read_deepspeed(path: str | Path, *, ranks: int | None = None) -> Foreign:
    """`ranks`: processes of the run, by which a size per GPU becomes that of a whole batch.

    Raises: UsageError with file, line and key of what has no counterpart here.
    """
    place = Path(path)
    text = text_of(place, hint="--deepspeed FILE")
    return taken_from_deepspeed(text, str(place), ranks=ranks)


def taken_from_deepspeed(text: str, file: str, *, ranks: int | None = None) -> Foreign:
    """Pure. Raises: UsageError with file, line and key of what has no counterpart here."""
    leaves = json_leaves(text, file)
    found = apply(leaves, RULES)
    values = dict(found.values)
    origins = dict(found.origins)
    size = _batch_size(leaves, ranks)
    if size is not None:
        values["batch_size"] = size
        origins["batch_size"] = leaves["train_micro_batch_size_per_gpu"].origin
    precision = _precision(leaves)
    if precision is not None:
        values["precision"] = precision.value
        origins["precision"] = precision.origin
    return Foreign(values, origins, found.notes)


def _batch_size(leaves: Leaves, ranks: int | None) -> int | None:
    """Of a micro-batch per GPU, where the file does not say the whole.

    Raises: UsageError if it says both, and they do not agree.
    """
    micro = leaves.get("train_micro_batch_size_per_gpu")
    if micro is None or not isinstance(micro.value, int):
        return None
    accumulate = leaves.get("gradient_accumulation_steps")
    times = accumulate.value if accumulate and isinstance(accumulate.value, int) else 1
    whole = leaves.get("train_batch_size")
    if ranks is None:
        if whole is None or whole.value == AUTO:
            hint = "say train_batch_size, or --nproc, so that the whole batch is known"
            raise refusal(micro, "says no size of the whole batch", hint)
        return None
    size = micro.value * times * ranks
    if whole is not None and whole.value not in (AUTO, size):
        why = f"times {times} times {ranks} processes is {size}, and {whole.origin} says"
        raise refusal(micro, f"{why} {whole.value}", "let the three numbers agree")
    return size


def _precision(leaves: Leaves) -> Leaf | None:
    """fp16 and bf16 are switches of their own; both off is f32."""
    off = None
    for key, word in (("bf16", "bf16"), ("bfloat16", "bf16"), ("fp16", "fp16")):
        leaf = leaves.get(f"{key}.enabled")
        if leaf is None:
            continue
        if leaf.value is True:
            return leaf._replace(value=word)
        if leaf.value == AUTO:
            return None
        off = leaf._replace(value="f32")
    return off


def _stage(leaf: Leaf, leaves: Leaves) -> Values:
    del leaves
    if isinstance(leaf.value, bool) or leaf.value not in STAGES:
        raise refusal(leaf, "is no stage of ZeRO", "0, 1, 2 or 3")
    return {"strategy": STAGES[leaf.value]}


def _offload(leaf: Leaf, leaves: Leaves) -> Values:
    """Parameters in main memory mean the optimizer's states there too, here."""
    if leaf.value == "none":
        return {}
    if leaf.value != "cpu":
        raise refusal(leaf, "has no counterpart here", 'main memory only: "device": "cpu"')
    parameters = leaves.get("zero_optimization.offload_param.device")
    if parameters is None or parameters.value != "cpu":
        return {"offload": "optimizer"}
    optimizer = leaves.get("zero_optimization.offload_optimizer.device")
    if optimizer is None or optimizer.value != "cpu":
        why = "offloads parameters alone; here their optimizer states go with them"
        raise refusal(leaf, why, 'offload_optimizer: {"device": "cpu"} too')
    return {"offload": "parameters"}


def _betas(leaf: Leaf, leaves: Leaves) -> Values:
    del leaves
    if not isinstance(leaf.value, list) or len(leaf.value) != 2:
        raise refusal(leaf, "is no pair of numbers")
    first, second = leaf.value
    return {
        "beta1": float_of(leaf._replace(value=first)),
        "beta2": float_of(leaf._replace(value=second)),
    }


def _epsilon(leaf: Leaf, leaves: Leaves) -> Values:
    del leaves
    if float_of(leaf) != EPSILON:
        raise refusal(leaf, f"has no counterpart: AdamW has {EPSILON} here")
    return {}


def _zero(leaf: Leaf, leaves: Leaves) -> Values:
    del leaves
    if float_of(leaf) != 0:
        raise refusal(leaf, "has no counterpart: a warm-up begins at 0 here")
    return {}


def _scheduler(leaf: Leaf, leaves: Leaves) -> Values:
    kinds = {"warmuplr": "constant", "warmupdecaylr": "linear", "warmupcosinelr": "cosine"}
    values = choice("schedule", kinds)(leaf, leaves)
    kind = leaves.get("scheduler.params.warmup_type")
    if kind is None:
        why = "warms up by a logarithm unless warmup_type says linear; only that is here"
        raise refusal(leaf, why, '"warmup_type": "linear" in scheduler.params')
    return values


RULES: dict[str, Rule] = {
    "train_batch_size": integer("batch_size"),
    "train_micro_batch_size_per_gpu": lambda leaf, leaves: {},
    "gradient_accumulation_steps": integer("accumulate"),
    "gradient_clipping": number("clip_norm"),
    "prescale_gradients": only(False),
    "gradient_predivide_factor": only(1, 1.0),
    "sparse_gradients": only(False),
    "communication_data_type": only("fp32"),
    "seq_parallel_communication_data_type": only("fp32"),
    "data_types.grad_accum_dtype": only("fp32"),
    "sequence_parallel_size": only(1),
    "disable_allgather": quiet,
    "optimizer.type": choice(
        "optimizer", {"adamw": "adamw", "adam": "adamw"}, "AdamW; others by --optimizer"
    ),
    "optimizer.params.lr": number("learning_rate"),
    "optimizer.params.betas": _betas,
    "optimizer.params.weight_decay": number("weight_decay"),
    "optimizer.params.eps": _epsilon,
    "optimizer.params.adam_w_mode": only(True),
    "optimizer.params.bias_correction": only(True),
    "optimizer.params.amsgrad": only(False),
    "optimizer.params.torch_adam": quiet,
    "optimizer.params.fused": quiet,
    "scheduler.type": _scheduler,
    "scheduler.params.warmup_type": only("linear"),
    "scheduler.params.warmup_min_lr": _zero,
    "scheduler.params.warmup_min_ratio": _zero,
    "scheduler.params.warmup_max_lr": number("learning_rate"),
    "scheduler.params.warmup_num_steps": integer("warmup_steps"),
    "scheduler.params.total_num_steps": integer("steps"),
    "scheduler.params.cos_min_ratio": number("least_rate"),
    "fp16.enabled": lambda leaf, leaves: {},
    "fp16.auto_cast": quiet,
    "fp16.loss_scale": only(0, 0.0, hint="the scale follows the gradients here: 0"),
    "fp16.loss_scale_window": quiet,
    "fp16.initial_scale_power": quiet,
    "fp16.hysteresis": quiet,
    "fp16.consecutive_hysteresis": quiet,
    "fp16.min_loss_scale": quiet,
    "bf16.enabled": lambda leaf, leaves: {},
    "bf16.immediate_grad_update": quiet,
    "bfloat16.enabled": lambda leaf, leaves: {},
    "zero_optimization.stage": _stage,
    "zero_optimization.offload_optimizer.device": _offload,
    "zero_optimization.offload_param.device": _offload,
    "zero_optimization.offload_optimizer.ratio": only(1, 1.0),
    "zero_optimization.offload_optimizer.*": quiet,
    "zero_optimization.offload_param.*": quiet,
    "zero_optimization.offload_optimizer.nvme_path": only(),
    "zero_optimization.offload_param.nvme_path": only(),
    "zero_optimization.cpu_offload": switch("offload", "optimizer"),
    "zero_optimization.cpu_offload_params": only(False),
    "zero_optimization.zero_hpz_partition_size": only(1),
    "zero_optimization.zero_quantized_weights": only(False),
    "zero_optimization.zero_quantized_nontrainable_weights": only(False),
    "zero_optimization.zero_quantized_gradients": only(False),
    "zero_optimization.mics_shard_size": only(-1),
    "zero_optimization.memory_efficient_linear": quiet,
    "zero_optimization.ignore_unused_parameters": quiet,
    "zero_optimization.elastic_checkpoint": only(False),
    "zero_optimization.load_from_fp32_weights": quiet,
    **{
        f"zero_optimization.{name}": quiet
        for name in (
            "allgather_partitions",
            "allgather_bucket_size",
            "overlap_comm",
            "reduce_scatter",
            "reduce_bucket_size",
            "contiguous_gradients",
            "round_robin_gradients",
            "sub_group_size",
            "stage3_prefetch_bucket_size",
            "stage3_param_persistence_threshold",
            "stage3_model_persistence_threshold",
            "stage3_max_live_parameters",
            "stage3_max_reuse_distance",
            "stage3_gather_16bit_weights_on_model_save",
            "stage3_gather_fp16_weights_on_model_save",
            "use_all_reduce_for_fetch_params",
        )
    },
    "zero_allow_untested_optimizer": quiet,
    "zero_force_ds_cpu_optimizer": quiet,
    "tensor_parallel.autotp_size": only(0, 1, hint=NO_ZERO_TP),
    "pipeline.*": only(hint=NO_ZERO_PP),
    "activation_checkpointing.*": only(False, hint="--activation-checkpointing full"),
    "tensorboard.enabled": switch("tensorboard", value=True),
    "wandb.enabled": switch("wandb", value=True),
    "tensorboard.*": quiet,
    "wandb.*": quiet,
    "csv_monitor.enabled": only(False),
    "flops_profiler.enabled": only(False),
    "flops_profiler.*": quiet,
    "comms_logger.*": quiet,
    "steps_per_print": quiet,
    "wall_clock_breakdown": quiet,
    "dump_state": quiet,
    "memory_breakdown": quiet,
    **{
        f"{section}.enabled": only(False)
        for section in (
            "amp",
            "autotuning",
            "compression_training",
            "curriculum_learning",
            "data_efficiency",
            "eigenvalue",
            "elasticity",
            "progressive_layer_drop",
            "quantize_training",
        )
    },
}
