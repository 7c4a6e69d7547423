"""A run as it is planned before it starts: strategy, degrees, bytes, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.sizing.devices import Cluster
from llmops_cli.sizing.families import architecture_of
from llmops_cli.sizing.flops import token_flops
from llmops_cli.train.admission import admit, unseen
from llmops_cli.train.cluster import cluster_of
from llmops_cli.train.config_file import Config, config_of
from llmops_cli.train.dry_run import AUTO, DryRun
from llmops_cli.train.first_step import planned_for_pass
from llmops_cli.train.launch import Launch, launch_on
from llmops_cli.train.recipe import TrainRecipe
from llmops_cli.train.taken import refuse_no_model

Origins = Mapping[str, str]
Json = dict[str, object]


class Arithmetic(msgspec.Struct, frozen=True, kw_only=True):
    """Of one token, and of all devices in a second; 0 where nobody knows."""

    flops_per_token: float = 0.0
    peak_flops_per_s: float = 0.0


class Planned(NamedTuple):
    """`recipe` has the strategy and the degrees of its parts; `found` is None without a plan.

    `config`, `cluster`: of what, and for what, `found` is the plan.
    """

    recipe: TrainRecipe
    found: DryRun | None
    arithmetic: Arithmetic
    config: Config | None = None
    cluster: Cluster | None = None

    def json(self) -> Json:
        """Of the strategy that runs, as the report has it."""
        if self.found is None or self.recipe.strategy not in self.found.strategies:
            return {}
        row: Json = msgspec.to_builtins(self.found.strategies[self.recipe.strategy])
        return {
            "strategy": self.recipe.strategy,
            "reason": self.found.reason,
            "device": self.found.device,
            **row,
        }

    def of_pass(self, largest_pass: Mapping[str, int]) -> Json:
        """The plan of the pass that was measured, whose rows may be shorter than they could be."""
        if self.found is None or self.config is None or self.cluster is None:
            return {}
        sizes = planned_for_pass(
            self.found,
            {**self.config, "vocab_size": largest_pass["vocabulary"]},
            self.cluster,
            strategy=self.recipe.strategy,
            rows=largest_pass["rows"],
            tokens=largest_pass["tokens"],
        )
        return {} if sizes is None else {"largest_pass_bytes": msgspec.to_builtins(sizes)}


def may_accumulate(origins: Origins) -> bool:
    """Whether nobody said in how many parts a batch is taken."""
    return origins.get("accumulate", "default") == "default"


def dry_run_of(
    recipe: TrainRecipe,
    origins: Origins,
    *,
    elsewhere: bool | None = None,
) -> DryRun:
    """`--dry-run`: for the devices that are named, or those here; no model is loaded.

    `elsewhere`: the run is of other machines; None: if a GPU is named.
    Raises: UsageError for what the run would be refused for.
    """
    is_elsewhere = recipe.gpu is not None if elsewhere is None else elsewhere
    if recipe.model is not None:
        refuse_no_model(recipe.model)
    cluster = cluster_of(gpu=recipe.gpu, nproc=recipe.nproc, nnodes=recipe.nnodes)
    admission = admit(
        recipe,
        config_of(recipe, recipe.model),
        cluster=cluster,
        launch=launch_on(recipe, nproc=cluster.devices_per_node, nnodes=cluster.nodes),
        elsewhere=is_elsewhere,
        may_accumulate=may_accumulate(origins),
    )
    if admission.found is None:
        assert admission.unplanned is not None
        raise admission.unplanned
    found = admission.found
    return msgspec.structs.replace(found, notes=(*found.notes, *unseen(recipe)))


def refuse_unfit(found: DryRun) -> None:
    """Raises: UsageError if nothing fits, with what would."""
    if found.chosen is None:
        hint = "; or ".join(found.advice) or "a smaller model"
        raise UsageError(found.reason, hint=hint)


def planned(
    recipe: TrainRecipe,
    origins: Origins,
    launch: Launch,
    *,
    model: str | None,
    progress: Progress,
) -> Planned:
    """For the ranks that are there.

    Raises: UsageError for what can be refused before they start, such as an `auto` that finds
    nothing that fits.
    """
    config = config_of(recipe, model)
    cluster = cluster_of(gpu=None, nproc=launch.ranks_here, nnodes=launch.nnodes)
    admission = admit(
        recipe,
        config,
        cluster=cluster,
        launch=launch,
        may_accumulate=may_accumulate(origins),
    )
    if admission.found is None:
        progress.say(f"no plan: {admission.unplanned}")
        return Planned(admission.recipe, found=None, arithmetic=Arithmetic())
    found = admission.found
    if found.chosen is None:
        if recipe.strategy == AUTO or is_impossible(recipe, found):
            refuse_unfit(found)
        progress.warn(f"it may not fit: {found.reason}")
    for note in found.notes:
        progress.say(note)
    arithmetic = _arithmetic(admission.recipe, config, cluster)
    return Planned(admission.recipe, found, arithmetic, config=config, cluster=cluster)


def is_impossible(recipe: TrainRecipe, found: DryRun) -> bool:
    """Whether the strategy that was named cannot be at all; one process is each of them."""
    plan = found.strategies.get(recipe.strategy)
    return plan is not None and plan.refused is not None and found.devices > 1


def _arithmetic(recipe: TrainRecipe, config: Config, cluster: Cluster) -> Arithmetic:
    """The peak of a processor is not known well enough."""
    flops = token_flops(architecture_of(config), recipe.sequence_length).model
    device = cluster.device
    peak = 0.0
    if not device.is_cpu:
        each = device.bf16_flops
        if recipe.precision == "f32":
            each = device.f32_flops or 0.0
        peak = each * cluster.devices
    return Arithmetic(flops_per_token=flops, peak_flops_per_s=peak)
