"""AdamW with moments of 8 bits, where bitsandbytes is installed (arXiv:2110.02861)."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch.optim import Optimizer

from _shared.protocol import JobError
from train.settings import Settings


def adamw_8bit(groups: list[dict[str, Any]], settings: Settings) -> Optimizer:
    """Raises: JobError without bitsandbytes."""
    if find_spec("bitsandbytes") is None:
        message = "optimizer 'adamw8bit' needs bitsandbytes, which this Python has not"
        raise JobError("EnvironmentMissing", message, "pip install bitsandbytes, or adafactor")
    make: Any = import_module("bitsandbytes").optim.AdamW8bit
    betas = (settings.beta1, settings.beta2)
    optimizer: Optimizer = make(groups, lr=settings.learning_rate, betas=betas)
    return optimizer
