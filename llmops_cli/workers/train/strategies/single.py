"""One process with the whole model: what every other strategy must equal."""

from typing import Any

from _shared.protocol import JobError
from train.ranks import Ranks
from train.settings import Settings
from train.strategies.local import LocalStrategy, prepare, refuse_offload
from train.strategies.strategy import Share, Strategy


def build(model: Any, settings: Settings, ranks: Ranks) -> Strategy:
    if ranks.world_size != 1:
        message = f"strategy 'single' is one process, and there are {ranks.world_size}"
        raise JobError("UsageError", message, "--strategy ddp or fsdp")
    model.to(ranks.device)
    refuse_offload(settings)
    prepare(model, settings)
    share = Share.of(0, 1, settings)
    return LocalStrategy(model=model, settings=settings, ranks=ranks, share=share)
