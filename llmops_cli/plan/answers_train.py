"""Answers about training, by the arithmetic that `train --dry-run` has."""

from __future__ import annotations

import re
from typing import Protocol

import msgspec

from llmops_cli.plan.references import Answer, Reference, Unanswered, exact
from llmops_cli.plan.row_models import row_gpus, row_model
from llmops_cli.sizing.architecture import Architecture
from llmops_cli.sizing.calibration import Group
from llmops_cli.sizing.devices import Cluster
from llmops_cli.sizing.families import architecture_of
from llmops_cli.sizing.figures import estimated
from llmops_cli.sizing.flops import training_days, training_flops
from llmops_cli.sizing.layout import Layout
from llmops_cli.sizing.memory import device_memory
from llmops_cli.sizing.parameters import parameter_count
from llmops_cli.sizing.public_models import config_named
from llmops_cli.sizing.step_time import StepTime, step_time
from llmops_cli.sizing.training_bands import MEMORY, SPEED, training_correction
from llmops_cli.sizing.work import Work

PER_NODE = 8
CHECKPOINTING = {"selective": "alternate", "full": "full", "none": "none"}
"""torchtitan's `selective` keeps every second product."""
MEGATRON = {"sequence_length": 2048}
STATE_BYTES = {"full bf16/fp16 mixed": 18.0, "full pure_bf16": 8.0, "lora": 2.0, "galore": 2.0}
STAGE_BYTES = 16
ADAPTER_BYTES = 0.3
"""Adapters with their states, activations of a short batch, and the framework, a parameter."""
RULE_SPREAD = 0.35
_DEGREE = re.compile(r"\b(fsdp|tp|pp|cp)(\d+)\b")


class Calibrated(Protocol):
    """What a check knows of measurements."""

    @property
    def groups(self) -> tuple[Group, ...]: ...


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """A row as the arithmetic wants it."""

    architecture: Architecture
    work: Work
    layout: Layout
    cluster: Cluster


def trained(row: Reference) -> Trained:
    """Raises: Unanswered for a row without cards, batch or length."""
    gpus = row.number("gpus")
    batch = row.number("local_batch")
    length = row.number("seq_len")
    if gpus is None or batch is None or length is None:
        raise Unanswered("gpus, local_batch and seq_len are needed")
    strategy = (row.text("strategy") or "").lower()
    layout = _layout(strategy, int(gpus), int(batch))
    cards = row_gpus(row)
    work = Work(
        sequence_length=int(length),
        batch_size=int(batch) * layout.shares,
        checkpointing=CHECKPOINTING.get(row.text("checkpointing") or "none", "none"),
        is_compiled="compile" in strategy,
        matmul_format="float8" if "float8" in strategy else None,
    )
    nodes = max(1, layout.devices // PER_NODE)
    cluster = Cluster(
        device=cards.gpu.device, nodes=nodes, devices_per_node=min(PER_NODE, layout.devices)
    )
    architecture = architecture_of(config_named(row_model(row).name))
    return Trained(architecture=architecture, work=work, layout=layout, cluster=cluster)


def _strategy(*, tensor: int, pipeline: int) -> str:
    if pipeline > 1:
        return "fsdp+pp"
    if tensor > 1:
        return "fsdp+tp"
    return "fsdp"


def _layout(strategy: str, gpus: int, batch: int) -> Layout:
    degrees = {name: int(count) for name, count in _DEGREE.findall(strategy)}
    tensor = degrees.get("tp", 1)
    pipeline = degrees.get("pp", 1)
    context = degrees.get("cp", 1)
    shards = degrees.get("fsdp", gpus // (tensor * pipeline * context))
    is_interleaved = "interleaved" in strategy
    return Layout(
        strategy=_strategy(tensor=tensor, pipeline=pipeline),
        shards=shards,
        tensor=tensor,
        pipeline=pipeline,
        context=context,
        schedule="interleaved" if is_interleaved else "1f1b",
        chunks=2 if is_interleaved else 1,
        micro_batches=batch if pipeline > 1 else 1,
        splits_sequence=tensor > 1,
        splits_vocabulary=tensor > 1,
    )


def _time(found: Trained) -> StepTime:
    return step_time(found.architecture, found.work, found.layout, found.cluster)


def raw_speed(found: Trained) -> float:
    """Tokens a second of each device, before any calibration."""
    return _time(found).tokens_per_s / found.layout.devices


def raw_memory(found: Trained) -> float:
    """Bytes of the fullest device, likewise."""
    framework = found.cluster.device.framework_bytes(found.layout.devices)
    memory = device_memory(found.architecture, found.work, found.layout, framework_bytes=framework)
    return memory.total


def speed(row: Reference, context: Calibrated) -> Answer:
    found = trained(row)
    return _corrected(raw_speed(found), found, SPEED, context)


def memory(row: Reference, context: Calibrated) -> Answer:
    found = trained(row)
    return _corrected(raw_memory(found), found, MEMORY, context)


def _corrected(value: float, found: Trained, quantity: str, context: Calibrated) -> Answer:
    fix = training_correction(found.layout, found.cluster.device.name, quantity, context.groups)
    figure = estimated(value * fix.factor, fix.spread, formula="", source="")
    return Answer(value=figure.value, low=figure.low, high=figure.high)


def utilisation(row: Reference, _context: object) -> Answer:
    """Raises: Unanswered: a range over several runs, whose batches are not told."""
    raise Unanswered("a range over runs whose batch and length are not told")


def days(row: Reference, _context: object) -> Answer:
    """At the share of the peak that the row tells, recomputation counted."""
    tokens = row.number("tokens")
    gpus = row.number("gpus")
    share = row.number("flops_efficiency")
    if tokens is None or gpus is None or share is None:
        raise Unanswered("tokens, gpus and flops_efficiency are needed")
    architecture = architecture_of(config_named(row_model(row).name))
    flops = training_flops(
        architecture,
        sequence_length=MEGATRON["sequence_length"],
        tokens=tokens,
        checkpointing=row.text("recompute") or "none",
    )
    peak = row_gpus(row).gpu.device.bf16_flops
    return exact(training_days(flops, devices=int(gpus), peak_flops=peak, utilisation=share), 0.01)


def states(row: Reference, _context: object) -> Answer:
    """Weights, gradients, master weights and two moments of a middle stage: 16 bytes each.

    Source: arXiv:1910.02054, section 3.1. Embeddings lie on the first and the last stage.
    """
    ways = (row.number("tp") or 1) * (row.number("pp") or 1)
    architecture = architecture_of(config_named(row_model(row).name))
    table = architecture.vocab_size * architecture.hidden_size
    places = architecture.learned_positions * architecture.hidden_size
    blocks = parameter_count(architecture) - table - places
    return exact(STAGE_BYTES * blocks / ways)


def fine_tuning(row: Reference, _context: object) -> Answer:
    """Bytes a parameter by method, and what stands around them."""
    if isinstance(row.value, list):
        size = float(parameter_count(architecture_of(config_named(row_model(row).name))))
        values = [
            size * STATE_BYTES["full bf16/fp16 mixed"],
            size * (STATE_BYTES["lora"] + ADAPTER_BYTES),
            size * (0.5 + ADAPTER_BYTES),
        ]
        return Answer(
            value=values,
            low=[value * (1 - RULE_SPREAD) for value in values],
            high=[value * (1 + RULE_SPREAD) for value in values],
        )
    size = _parameters_said(row)
    method = row.text("method") or ""
    each = STATE_BYTES.get(method)
    if method == "qlora":
        bits = row.number("bits")
        if bits is None:
            raise Unanswered("the bits of the base are not told")
        each = bits / 8
    if each is None:
        raise Unanswered(f"method '{method}' is not known")
    more = 0.0 if method.startswith("full") else ADAPTER_BYTES
    return exact(size * (each + more), RULE_SPREAD)


def _parameters_said(row: Reference) -> float:
    """`generic 7B`. Raises: Unanswered for a model without a size."""
    found = re.search(r"(\d+(?:\.\d+)?)B\b", row.text("model") or "")
    if found is None:
        raise Unanswered("the model's size is not told")
    return float(found[1]) * 1e9
