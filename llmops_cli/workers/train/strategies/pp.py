"""Pipeline parallel: each rank has some of the blocks, and micro-batches go through all of them."""

from typing import Any

from train.materialise import materialise
from train.ranks import Ranks
from train.settings import Settings
from train.strategies.line import make_line, make_mesh
from train.strategies.local import prepare, refuse_offload
from train.strategies.staged import StagedStrategy
from train.strategies.strategy import Strategy
from train.strategies.tied import find_tied, name_in_whole, tied_names


def build(model: Any, settings: Settings, ranks: Ranks) -> Strategy:
    mesh = make_mesh(settings, ranks, copies=1)
    refuse_offload(settings)
    prepare(model, settings)
    names = tied_names(model)
    line = make_line(model, settings, ranks, mesh)
    tied = find_tied(model, mesh, names)
    materialise(model, settings, ranks.device, whole_name=name_in_whole(tied))
    return StagedStrategy(
        model=model,
        settings=settings,
        ranks=ranks,
        mesh=mesh,
        line=line,
        tied=tied,
    )
