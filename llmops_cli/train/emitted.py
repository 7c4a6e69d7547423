"""What every launcher's file says of a run."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping

import msgspec

from llmops_cli.sizing.devices import Cluster
from llmops_cli.train.dry_run import DryRun
from llmops_cli.train.recipe import TrainRecipe

LEAST_GRACE_S = 120
ONE_SAVE_S = 60
"""A step that is under way, the copy of the state, and what nobody planned for."""
DISK_BYTES_PER_S = 200e6
"""What one node writes to a shared file system that many use."""
CHECKPOINT_BYTES_PER_PARAMETER = 12
"""Weights and two states of the optimizer in f32."""
AVERAGE_BYTES_PER_PARAMETER = 4
"""Of `--ema`."""
MODEL_BYTES_PER_PARAMETER = 4
IN_FLIGHT = 1
BEST = 1
"""Checkpoints beside the newest: one that is written, and the best by validation loss."""
LONGEST_NAME = 40
GIB = 1 << 30
CORES_PER_GPU = 8
CORES_PER_RANK = 2
"""Of a processor, where nobody said --threads."""
RANK_BYTES = 6 * GIB
"""Python, torch, CUDA's own, rows that are made ahead, and files that are read."""
SHARED_BYTES_PER_RANK = 1 * GIB
"""NCCL's buffers between the ranks of a node."""
USUAL_HOURS = 24
LEAST_HOURS = 2
SLOWER = 2.0
"""By how much a run may be slower than its plan before its time is over."""
OF_THE_LAUNCHER = frozenset({"gpu", "nproc", "nnodes", "node_rank", "rendezvous"})
"""Fields that the launcher says itself."""


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a scheduler: computed from the plan, with room."""

    cores_per_rank: int
    memory_gib_per_node: int
    shared_gib_per_node: int
    hours: int


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """`command` is that of each rank. `folder`: -o, on a file system that all nodes share."""

    name: str
    command: list[str]
    nproc: int
    nnodes: int
    has_gpus: bool
    folder: str
    shutdown_timeout_s: int
    rendezvous: str | None = None
    needs: Needs
    storage_bytes: int = 0
    variables: dict[str, str] = {}


def variables_of(origins: Mapping[str, str]) -> dict[str, str]:
    """What the recipe has from the environment, by the variables that are read again there."""
    found = {}
    for field, origin in origins.items():
        if origin != "env" or field in OF_THE_LAUNCHER:
            continue
        name = f"LLMOPS_TRAIN_{field.upper()}"
        text = os.environ.get(name) or os.environ.get(f"LLMOPS_{field.upper()}")
        if text is not None:
            found[name] = text
    return found


def needs_of(recipe: TrainRecipe, found: DryRun, cluster: Cluster) -> Needs:
    ranks = cluster.devices_per_node
    shared_bytes = ranks * SHARED_BYTES_PER_RANK
    memory_bytes = shared_bytes + ranks * (RANK_BYTES + _own_bytes(recipe, found, cluster))
    usual = CORES_PER_RANK if cluster.device.is_cpu else CORES_PER_GPU
    return Needs(
        cores_per_rank=recipe.threads or usual,
        memory_gib_per_node=math.ceil(memory_bytes / GIB),
        shared_gib_per_node=math.ceil(shared_bytes / GIB),
        hours=_hours(recipe, found),
    )


def _own_bytes(recipe: TrainRecipe, found: DryRun, cluster: Cluster) -> float:
    """Of a rank in main memory: the model as it is read, what is offloaded, or all on the CPU."""
    plan = found.strategies.get(found.chosen or recipe.strategy)
    read_bytes = found.parameters * MODEL_BYTES_PER_PARAMETER
    if plan is None or plan.per_device_bytes is None:
        return read_bytes
    if cluster.device.is_cpu:
        return read_bytes + plan.per_device_bytes.total
    return read_bytes + plan.host_bytes


def _hours(recipe: TrainRecipe, found: DryRun) -> int:
    """Of the steps that are planned; a job that is not done then is queued again."""
    plan = found.strategies.get(found.chosen or recipe.strategy)
    if recipe.steps is None or plan is None or plan.step_s is None:
        return USUAL_HOURS
    planned_h = SLOWER * recipe.steps * plan.step_s / 3600
    return min(USUAL_HOURS, LEAST_HOURS + math.ceil(planned_h))


def job_name(model: str) -> str:
    """As names of jobs may be: lower case, digits and dashes."""
    plain = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    return f"train-{plain}"[:LONGEST_NAME].strip("-")


def storage_bytes(recipe: TrainRecipe, found: DryRun) -> int:
    """What a run has on the disk at one time, data and cache not counted."""
    one = CHECKPOINT_BYTES_PER_PARAMETER
    if recipe.ema_decay > 0:
        one += AVERAGE_BYTES_PER_PARAMETER
    count = recipe.keep + IN_FLIGHT + BEST
    return found.parameters * (count * one + MODEL_BYTES_PER_PARAMETER)


def shutdown_timeout_s(found: DryRun, *, measured_save_s: float | None) -> int:
    """Twice the time of a save, measured by an earlier run or planned, and a step around it."""
    planned_s = found.parameters * CHECKPOINT_BYTES_PER_PARAMETER / found.nodes / DISK_BYTES_PER_S
    save_s = planned_s if measured_save_s is None else measured_save_s
    return max(LEAST_GRACE_S, round(ONE_SAVE_S + 2 * save_s))
