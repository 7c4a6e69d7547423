"""Pipeline parallel: each rank has some of the blocks, and micro-batches go through all of them."""

from typing import Any

from train.ranks import Ranks
from train.settings import Settings
from train.strategies.line import make_line, make_mesh
from train.strategies.staged import StagedStrategy
from train.strategies.strategy import Strategy
from train.strategies.tied import find_tied, is_tied


def build(model: Any, settings: Settings, ranks: Ranks) -> Strategy:
    mesh = make_mesh(settings, ranks, copies=1)
    tied = is_tied(model)
    line = make_line(model, settings, ranks, mesh)
    return StagedStrategy(
        name="pp",
        model=model,
        settings=settings,
        ranks=ranks,
        mesh=mesh,
        line=line,
        tied=find_tied(model, mesh) if tied else None,
    )
