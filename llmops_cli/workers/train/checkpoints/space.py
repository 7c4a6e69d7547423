"""What checkpoints take on the disk, known before the first step."""

import shutil
from pathlib import Path

from _shared.protocol import JobError
from train.checkpoints import folder as folders
from train.settings import Settings

WEIGHT_BYTES = 4
"""Weights and states of the optimizer are kept in f32."""
STATES_PER_WEIGHT = {"adamw": 2.0, "muon": 2.0, "adafactor": 0.1, "adamw8bit": 0.6}
"""At most: Muon keeps one for matrices and AdamW's two for the rest."""
EXPORT_BYTES = {"bf16": 2, "f32": 4}
IN_FLIGHT = 1
BEST = 1


def checkpoint_bytes(parameters: int, settings: Settings) -> int:
    states = STATES_PER_WEIGHT.get(settings.optimizer, 2.0)
    average = 1.0 if settings.ema_decay > 0 else 0.0
    return int(parameters * WEIGHT_BYTES * (1.0 + states + average))


def needed_bytes(parameters: int, settings: Settings) -> int:
    """Of all that a run has on the disk at one time: checkpoints, the one in flight, the model."""
    export = parameters * EXPORT_BYTES.get(settings.export_dtype, WEIGHT_BYTES)
    if settings.checkpoint_every == 0:
        return export
    count = settings.keep + IN_FLIGHT
    if settings.evaluate_every > 0:
        count += BEST
    return export + count * checkpoint_bytes(parameters, settings)


def check_space(root: Path, parameters: int, settings: Settings) -> None:
    """Raises: JobError with the numbers, now rather than in an hour."""
    needed = needed_bytes(parameters, settings)
    existing = root
    while not existing.exists():
        existing = existing.parent
    there = sum(_size_bytes(folders.step_folder(root, step)) for step in folders.steps_in(root))
    free = shutil.disk_usage(existing).free
    if free + there < needed:
        one = checkpoint_bytes(parameters, settings)
        message = (
            f"checkpoints of {one / 1e9:,.1f} GB each and the model need {needed / 1e9:,.1f} GB"
            f" in {root.parent}; {(free + there) / 1e9:,.1f} GB are free"
        )
        raise JobError("EnvironmentMissing", message, "a smaller --keep, or another -o")


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
