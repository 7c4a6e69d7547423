"""How a model, its optimizer and its batch are spread over devices: the strategies as numbers."""

from __future__ import annotations

import msgspec

from llmops_cli.core.errors import UsageError, unknown_name

STRATEGIES = (
    "single",
    "ddp",
    "fsdp",
    "hsdp",
    "zero1",
    "zero2",
    "zero3",
    "tp",
    "pp",
    "fsdp+tp",
    "fsdp+pp",
)
"""In order of simplicity: the first of two that are alike is the one to take."""
PIPELINES = ("gpipe", "1f1b", "interleaved")


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Degrees of every kind of parallelism; their product is the number of devices.

    replicas: copies that hold the same weights. shards: over how many devices each weight lies.
    zero: DeepSpeed's stage, over `replicas`. context: over how many devices a sequence lies.
    chunks: stages a device has (interleaved). micro_batches: into which a step's rows are cut.
    """

    strategy: str
    replicas: int = 1
    shards: int = 1
    tensor: int = 1
    pipeline: int = 1
    context: int = 1
    zero: int = 0
    schedule: str = "1f1b"
    chunks: int = 1
    micro_batches: int = 1
    offload: str = "none"
    splits_sequence: bool = False
    """Norms are computed on parts of the sequence between the devices of a tensor group."""
    splits_vocabulary: bool = False
    """Each device of a tensor group has the logits of its part of the vocabulary; in our trainer
    they are gathered, and each has all.
    """

    @property
    def devices(self) -> int:
        return self.replicas * self.shards * self.tensor * self.pipeline * self.context

    @property
    def shares(self) -> int:
        """Into how many parts a global batch goes."""
        return self.replicas * self.shards

    @property
    def casts_whole_model(self) -> bool:
        """FSDP gives its modules weights in the compute format."""
        return self.strategy.startswith(("fsdp", "hsdp"))

    @property
    def in_words(self) -> str:
        parts = {
            "replicas": self.replicas,
            "shards": self.shards,
            "tensor": self.tensor,
            "pipeline": self.pipeline,
        }
        named = [f"{name} {degree}" for name, degree in parts.items() if degree > 1]
        return " x ".join(named) or "1 device"


class Degrees(msgspec.Struct, frozen=True, kw_only=True):
    """What may be wished of a layout; None: what the machine suggests."""

    tensor: int | None = None
    pipeline: int | None = None
    shard_size: int | None = None
    schedule: str = "1f1b"
    micro_batches: int | None = None
    offload: str = "none"


def layout_of(
    strategy: str,
    *,
    devices: int,
    devices_per_node: int,
    degrees: Degrees,
) -> Layout:
    """Raises: UsageError for an unknown strategy, or degrees that don't divide the devices."""
    if strategy not in STRATEGIES:
        raise unknown_name("strategy", strategy, STRATEGIES)
    if strategy == "single":
        if devices != 1:
            raise UsageError(
                f"strategy 'single' is one process, and there are {devices}", hint="--strategy ddp"
            )
        return Layout(strategy=strategy)
    if devices == 1:
        raise UsageError(
            "every strategy but single needs several processes, and there is one",
            hint="--nproc, or --strategy single",
        )
    if strategy == "ddp":
        return Layout(strategy=strategy, replicas=devices)
    if strategy.startswith("zero"):
        stage = int(strategy[-1])
        if degrees.offload == "parameters" and stage < 3:
            raise UsageError(
                f"{strategy} keeps the weights whole on each rank, so they cannot be offloaded",
                hint="--offload optimizer, or --strategy zero3",
            )
        return Layout(strategy=strategy, replicas=devices, zero=stage, offload=degrees.offload)
    if strategy == "fsdp":
        return Layout(strategy=strategy, shards=devices, offload=degrees.offload)
    if strategy == "hsdp":
        return _hybrid(devices, degrees.shard_size or devices_per_node, degrees)
    return _model_parallel(strategy, devices, devices_per_node, degrees)


def _hybrid(devices: int, shard_size: int, degrees: Degrees) -> Layout:
    _must_divide("--shard-size", shard_size, devices)
    if shard_size == devices:
        raise UsageError(
            f"hsdp over {devices} devices with {shard_size} a shard has one copy: that is fsdp",
            hint=f"--shard-size {max(1, devices // 2)}, or --strategy fsdp",
        )
    return Layout(
        strategy="hsdp",
        replicas=devices // shard_size,
        shards=shard_size,
        offload=degrees.offload,
    )


def _model_parallel(
    strategy: str,
    devices: int,
    devices_per_node: int,
    degrees: Degrees,
) -> Layout:
    tensor = 1
    pipeline = 1
    if strategy.endswith("tp"):
        whole = devices if strategy == "tp" else min(devices_per_node, devices)
        tensor = degrees.tensor or whole
        _must_divide("--tensor-parallel", tensor, devices)
    else:
        nodes = max(1, devices // devices_per_node)
        pipeline = degrees.pipeline or (devices if strategy == "pp" else max(2, nodes))
        _must_divide("--pipeline-parallel", pipeline, devices)
    rest = devices // (tensor * pipeline)
    if "+" not in strategy and rest != 1:
        raise UsageError(
            f"strategy '{strategy}' is over all {devices} devices, not {tensor * pipeline}",
            hint=f"--strategy fsdp+{strategy}",
        )
    chunks = 2 if degrees.schedule == "interleaved" and pipeline > 1 else 1
    return Layout(
        strategy=strategy,
        shards=rest,
        tensor=tensor,
        pipeline=pipeline,
        schedule=degrees.schedule,
        chunks=chunks,
        micro_batches=_micro_batches(pipeline, degrees),
        offload=degrees.offload if rest > 1 else "none",
    )


def _micro_batches(pipeline: int, degrees: Degrees) -> int:
    """Two for each stage where nothing is asked for."""
    if pipeline == 1:
        return 1
    return degrees.micro_batches or 2 * pipeline


def _must_divide(option: str, degree: int, devices: int) -> None:
    if degree < 1 or devices % degree:
        raise UsageError(
            f"{option} {degree} does not divide {devices} devices",
            hint=f"a divisor of {devices}",
        )
