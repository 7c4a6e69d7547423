"""FSDP inside the stages of a pipeline: a 2-D mesh of ranks, several lines of the same stages.

Lines read different rows. A stage's weights are spread over the ranks that have it, and its
gradients are summed over them once a step, behind the last micro-batch.
"""

from typing import Any

from torch.distributed.fsdp import fully_shard

from _shared.protocol import JobError
from train.materialise import materialise
from train.ranks import Ranks
from train.settings import Settings
from train.strategies.cutting import Passing
from train.strategies.fsdp import home_of, options_of
from train.strategies.line import DATA, StageModule, make_line, make_mesh
from train.strategies.local import prepare
from train.strategies.staged import StagedStrategy
from train.strategies.strategy import Strategy
from train.strategies.tied import find_tied, name_in_whole, tied_names


def build(model: Any, settings: Settings, ranks: Ranks) -> Strategy:
    """Raises: JobError if the ranks do not make several pipelines."""
    mesh = make_mesh(settings, ranks, copies=lines_of(settings, ranks))
    prepare(model, settings)
    names = tied_names(model)
    line = make_line(model, settings, ranks, mesh)
    options = options_of(mesh[DATA], settings)
    stages = list(line.modules.values())
    for stage in stages:
        shard_stage(stage, options)
    tied = find_tied(model, mesh, names)
    materialise(
        model,
        settings,
        home_of(settings, ranks),
        roots=stages,
        whole_name=name_in_whole(tied),
    )
    return StagedStrategy(
        model=model,
        settings=settings,
        ranks=ranks,
        mesh=mesh,
        line=line,
        tied=tied,
    )


def lines_of(settings: Settings, ranks: Ranks) -> int:
    """As many pipelines as the ranks make; of two ranks each unless asked otherwise."""
    length = max(2, settings.pipeline_parallel)
    lines, left = divmod(ranks.world_size, length)
    if left or lines < 2:
        message = (
            f"strategy 'fsdp+pp' needs several pipelines of {length} ranks, and there are "
            f"{ranks.world_size} processes"
        )
        hint = "--nproc as pipelines times --pipeline-parallel, or --strategy pp"
        raise JobError("UsageError", message, hint)
    return lines


def shard_stage(stage: StageModule, options: dict[str, Any]) -> None:
    """Each of its blocks, then what is left, over the ranks that have the stage."""
    for block in stage.blocks():
        if not isinstance(block, Passing):
            fully_shard(block, **options)
    fully_shard(stage, **options)
