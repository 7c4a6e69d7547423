"""Data parallel: the whole model on every rank, gradients averaged (arXiv:2006.15704)."""

from typing import Any

from torch.nn.parallel import DistributedDataParallel

from train.ranks import Ranks
from train.settings import Settings
from train.strategies.local import LocalStrategy, prepare, refuse_offload
from train.strategies.strategy import Share, Strategy


def build(model: Any, settings: Settings, ranks: Ranks) -> Strategy:
    model.to(ranks.device)
    refuse_offload(settings)
    prepare(model, settings)
    parallel = DistributedDataParallel(
        model, forward_sync_buffers=False, gradient_as_bucket_view=True
    )

    def synchronize(*, is_last: bool) -> None:
        parallel.require_backward_grad_sync = is_last

    return LocalStrategy(
        model=model,
        settings=settings,
        ranks=ranks,
        share=Share.of(ranks.rank, ranks.world_size, settings),
        call=parallel,
        averaged_over=ranks.world_size,
        synchronize=synchronize,
    )
