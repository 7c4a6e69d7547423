"""What a run would be refused for before its ranks start: one check for a run, --dry-run, --emit.

Only what can be known without torch: the files that are named, the configuration, the plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.runtime.paths import at_home
from llmops_cli.sizing.devices import Cluster
from llmops_cli.train.checks import check
from llmops_cli.train.config_file import Config
from llmops_cli.train.data import (
    DataFile,
    content_of,
    data_files,
    is_here,
    missing,
    validation_files,
)
from llmops_cli.train.defaults import DEMO
from llmops_cli.train.dry_run import AUTO, DryRun, dry_run, settled
from llmops_cli.train.launch import Launch
from llmops_cli.train.prepare import chat_template
from llmops_cli.train.recipe import TrainRecipe
from llmops_cli.train.trainable import refuse_untrainable


class Admission(NamedTuple):
    """`recipe` has the strategy and the degrees of its parts, if one was found.

    `unplanned`: why sizing cannot read the configuration; `found` is then None.
    """

    recipe: TrainRecipe
    found: DryRun | None
    unplanned: UsageError | None = None


def admit(
    recipe: TrainRecipe,
    config: Config,
    *,
    cluster: Cluster,
    launch: Launch,
    elsewhere: bool = False,
    may_accumulate: bool = False,
) -> Admission:
    """`elsewhere`: the run is of other machines, whose files cannot be seen from here.

    `may_accumulate`: nobody said in how many parts a batch is taken, so `auto` may take more.
    Raises: UsageError for what the run would be refused for. That nothing fits is told by `found`.
    """
    refuse_untrainable(config, recipe.model or recipe.init or DEMO)
    check_files(recipe, elsewhere=elsewhere)
    try:
        found = dry_run(recipe, config, cluster)
    except UsageError as error:
        unplanned = msgspec.structs.replace(recipe, strategy=_unplanned(recipe, launch))
        check(unplanned, launch)
        return Admission(unplanned, None, error)
    if found.chosen is None and recipe.strategy == AUTO and may_accumulate:
        recipe, found = _in_more_parts(recipe, config, cluster, found)
    if found.chosen is not None:
        recipe = settled(recipe, found)
    if recipe.strategy != AUTO:
        check(recipe, launch)
    return Admission(recipe, found)


def _in_more_parts(
    recipe: TrainRecipe, config: Config, cluster: Cluster, found: DryRun
) -> tuple[TrainRecipe, DryRun]:
    """The fewest parts of a batch that fit, which leave a step's result as it is; else as given."""
    accumulate = 2 * recipe.accumulate
    while accumulate <= recipe.batch_size:
        tried = msgspec.structs.replace(recipe, accumulate=accumulate)
        again = dry_run(tried, config, cluster)
        if again.chosen is not None:
            note = f"--accumulate {accumulate}: more rows at once may not fit"
            return tried, msgspec.structs.replace(again, notes=(*again.notes, note))
        accumulate *= 2
    return recipe, found


def check_files(recipe: TrainRecipe, *, elsewhere: bool) -> None:
    """Raises: UsageError for a file that is named and not there, or a weight that is none."""
    mixed = data_files(recipe)
    held_out = validation_files(recipe)
    weights = [file.weight for file in mixed if file.weight is not None]
    if weights and len(weights) < len(mixed):
        raise UsageError("some --data have a weight and some have none", hint="all or none")
    if elsewhere:
        return
    for file in (*mixed, *held_out):
        if not is_here(file):
            raise missing(file)
    _refuse_same(mixed, held_out)
    chat_template(recipe)
    if recipe.tokenizer is not None and not at_home(recipe.tokenizer).is_dir():
        raise UsageError(
            f"no folder of a tokenizer at {recipe.tokenizer}", hint="--tokenizer FOLDER"
        )


def _refuse_same(mixed: Sequence[DataFile], held_out: Sequence[DataFile]) -> None:
    """Links too: rows would count twice, or be trained on and held out."""
    names: dict[str, str] = {}
    for file in mixed:
        content = content_of(file)
        first = names.get(content)
        names[content] = file.path
        if first is not None:
            raise UsageError(
                f"--data {file.path} is the same as --data {first}",
                hint=f"give it once; --data {first}=2 beside others weighs it more",
            )
    for file in held_out:
        trained = names.get(content_of(file))
        if trained is not None:
            raise UsageError(
                f"--validation {file.path} is trained on, as --data {trained}",
                hint="--validation-share 5% holds a part of it out",
            )


def unseen(recipe: TrainRecipe) -> Iterator[str]:
    """What is named and not here, in words: of a run elsewhere it may be there."""
    for file in (*data_files(recipe), *validation_files(recipe)):
        if not is_here(file):
            yield f"{file.path} is not on this machine: it must be where the run is"


def _unplanned(recipe: TrainRecipe, launch: Launch) -> str:
    """`auto` where nothing is known of the model: each rank has the whole of it."""
    if recipe.strategy != AUTO:
        return recipe.strategy
    return "single" if launch.world_size == 1 else "ddp"
