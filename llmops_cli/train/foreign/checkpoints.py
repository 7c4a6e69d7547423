"""Checkpoints of other trainers, which are not models: told by their files, refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from llmops_cli.core.errors import UsageError


class Sign(NamedTuple):
    """A file by which a trainer's checkpoint is known, and what makes a model of it."""

    pattern: str
    trainer: str
    hint: str


MEGATRON = "convert it to a Hugging Face folder first (Megatron-Bridge, or its tools/checkpoint)"
SIGNS = (
    Sign("latest_checkpointed_iteration.txt", "Megatron-LM", MEGATRON),
    Sign("iter_*/mp_rank_*", "Megatron-LM", MEGATRON),
    Sign("mp_rank_*/model_optim_rng.pt", "Megatron-LM", MEGATRON),
    Sign("model_optim_rng.pt", "Megatron-LM", MEGATRON),
    Sign("*mp_rank_*_model_states.pt", "DeepSpeed", "its zero_to_fp32.py makes a model of it"),
    Sign("global_step*/*model_states.pt", "DeepSpeed", "its zero_to_fp32.py makes a model of it"),
    Sign("__*_*.distcp", "torch.distributed.checkpoint", "accelerate merge-weights"),
)


def refuse_checkpoint(folder: Path) -> None:
    """Raises: UsageError for a folder that is a checkpoint of another trainer and no model."""
    if (folder / "config.json").exists():
        return
    for sign in SIGNS:
        found = next(iter(sorted(folder.glob(sign.pattern))), None)
        if found is not None:
            name = found.relative_to(folder)
            message = f"{folder} is a checkpoint of {sign.trainer} ({name}), not a model"
            raise UsageError(message, hint=sign.hint)
