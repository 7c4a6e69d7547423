"""What every launcher's file says of a run."""

from __future__ import annotations

import re

import msgspec

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
    storage_bytes: int = 0


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
