"""A run as it is planned before it starts: strategy, degrees, bytes, and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.sizing.devices import Cluster
from llmops_cli.sizing.families import architecture_of
from llmops_cli.sizing.flops import token_flops
from llmops_cli.train.cluster import cluster_of
from llmops_cli.train.defaults import DEMO
from llmops_cli.train.dry_run import AUTO, DryRun, demo_config, dry_run, settled
from llmops_cli.train.first_step import planned_for_pass
from llmops_cli.train.launch import Launch
from llmops_cli.train.recipe import TrainRecipe
from llmops_cli.train.trainable import refuse_untrainable

CONFIG = "config.json"
Config = dict[str, Any]  # Any: each architecture has fields of its own
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


def dry_run_of(recipe: TrainRecipe) -> DryRun:
    """`--dry-run`: for the devices that are named, or those here; no model is loaded."""
    cluster = cluster_of(gpu=recipe.gpu, nproc=recipe.nproc, nnodes=recipe.nnodes)
    config = config_of(recipe, recipe.model)
    refuse_untrainable(config, recipe.model or recipe.init or DEMO)
    return dry_run(recipe, config, cluster)


def refuse_unfit(found: DryRun) -> None:
    """Raises: UsageError if nothing fits, with what would."""
    if found.chosen is None:
        hint = "; or ".join(found.advice) or "a smaller model"
        raise UsageError(found.reason, hint=hint)


def planned(
    recipe: TrainRecipe,
    launch: Launch,
    *,
    model: str | None,
    progress: Progress,
) -> Planned:
    """For the ranks that are there.

    Raises: UsageError if `auto` finds nothing that fits, with what would, and for what is no
    causal model.
    """
    try:
        config = config_of(recipe, model)
    except UsageError as error:
        return _without_plan(recipe, launch, error, progress)
    refuse_untrainable(config, model or recipe.init or DEMO)
    try:
        cluster = cluster_of(gpu=None, nproc=launch.ranks_here, nnodes=launch.nnodes)
        found = dry_run(recipe, config, cluster)
    except UsageError as error:
        return _without_plan(recipe, launch, error, progress)
    if found.chosen is None and recipe.strategy != AUTO:
        progress.warn(f"it may not fit: {found.reason}")
    else:
        recipe = settled(recipe, found)
    arithmetic = _arithmetic(recipe, config, cluster)
    return Planned(recipe, found, arithmetic, config=config, cluster=cluster)


def _without_plan(
    recipe: TrainRecipe, launch: Launch, error: UsageError, progress: Progress
) -> Planned:
    progress.say(f"no plan: {error.message}")
    return Planned(
        msgspec.structs.replace(recipe, strategy=_unplanned(recipe, launch)),
        found=None,
        arithmetic=Arithmetic(),
    )


def _unplanned(recipe: TrainRecipe, launch: Launch) -> str:
    """`auto` where nothing is known of the model: each rank has the whole of it."""
    if recipe.strategy != AUTO:
        return recipe.strategy
    return "single" if launch.world_size == 1 else "ddp"


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


def config_of(recipe: TrainRecipe, model: str | None) -> Config:
    """The config.json of the model that is trained.

    Raises: UsageError for a folder or a file that has none.
    """
    if model is None and recipe.init is None:
        return demo_config(recipe)
    if model == DEMO:
        return demo_config(TrainRecipe())
    reference = model or recipe.init
    assert reference is not None
    return _read(_config_path(reference))


def _config_path(reference: str) -> Path:
    path = Path(reference).expanduser()
    if path.is_dir():
        return path / CONFIG
    if path.is_file() or not _is_hub_name(reference):
        return path
    return _downloaded(reference)


def _is_hub_name(reference: str) -> bool:
    return reference.count("/") == 1 and not reference.startswith((".", "/"))


def _downloaded(reference: str) -> Path:
    """Only its config.json, since the user named a hub model."""
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise EnvironmentMissing(
            f"no folder {reference}, and hub models need huggingface_hub",
            hint="pip install 'llmops-cli[train]'",
        ) from None
    try:
        return Path(hf_hub_download(reference, CONFIG))
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EnvironmentMissing(
            f"no folder {reference}, and the hub gave no {CONFIG}: {reason[:160]}",
            hint="check the name and the network, or --init CONFIG",
        ) from error


def _read(path: Path) -> Config:
    try:
        found = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(
            f"no configuration of a model at {path}",
            hint="a config.json, or a folder with one",
        ) from None
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"{path} is no configuration of a model: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} is no configuration of a model: it is no object")
    return found
