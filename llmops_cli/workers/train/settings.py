"""What a run asks for, as the worker reads it: the fields of TrainRecipe, checked there."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Names, units and meanings are those of `llmops train --help`."""

    model: str | None
    init: str | None
    tokenizer: str | None
    strategy: str
    tensor_parallel: int
    pipeline_parallel: int
    shard_size: int
    pipeline_schedule: str
    micro_batches: int
    offload: str
    steps: int
    batch_size: int
    accumulate: int
    sequence_length: int
    seed: int
    precision: str
    attention: str
    activation_checkpointing: str
    compile: bool
    optimizer: str
    learning_rate: float
    schedule: str
    warmup_steps: int
    decay_share: float
    least_rate: float
    weight_decay: float
    beta1: float
    beta2: float
    clip_norm: float
    ema_decay: float
    evaluate_every: int
    checkpoint_every: int
    keep: int
    on_spike: str
    hang_timeout_s: float = 600.0
    export_dtype: str = "bf16"
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    context: int
    threads: int
