"""Where a model is kept, and whether what lies there is what a recipe asks for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import Env
from llmops_cli.runtime.closure import cache_key
from llmops_cli.runtime.contents import content_digest, read_state
from llmops_cli.runtime.files import copy_folder
from llmops_cli.runtime.paths import cache_dir
from llmops_cli.runtime.runs import BESIDE_A_MODEL
from llmops_cli.train.data import data_digest
from llmops_cli.train.defaults import DEMO
from llmops_cli.train.recipe import TrainRecipe
from llmops_cli.train.report import TrainReport

PROGRAM = "train.main"
REPORT = BESIDE_A_MODEL
CONFIG = "config.json"
JOBS = ".job"
"""Inputs and messages of a run that is under way."""
BESIDE = frozenset({REPORT, JOBS, ".export", "checkpoints", "logs", "metrics.jsonl", "trackers"})
"""What lies in a trained model's folder and is no part of the model."""
NOT_OF_THE_MODEL = (
    "data",
    "validation",
    "gpu",
    "nproc",
    "nnodes",
    "node_rank",
    "rendezvous",
    "preview",
    "checkpoint_every",
    "evaluate_every",
    "keep",
    "resume",
    "hang_timeout_s",
    "tensorboard",
    "mlflow",
    "wandb",
    "deepspeed",
    "accelerate",
)
"""Fields that change how a run goes, not what it makes; data count by their content."""


def run_key(recipe: TrainRecipe, env: Env, *, world_size: int) -> str:
    """Of all that decides the model: recipe, data, and the training program with its libraries."""
    asked = msgspec.to_builtins(recipe)
    for name in NOT_OF_THE_MODEL:
        asked.pop(name)
    for name in ("init", "tokenizer", "chat_template"):
        if asked[name] is not None and Path(asked[name]).exists():
            asked[name] = Path(asked[name])
    return cache_key(asked, data_digest(recipe), world_size, program=PROGRAM, env=env)


def model_dir(recipe: TrainRecipe, key: str) -> Path:
    """Where the model of this recipe is, or will be, unless -o says."""
    return cache_dir() / "models" / f"{model_name(recipe)}-{key[7:19]}"


def model_name(recipe: TrainRecipe) -> str:
    """What a run is called after."""
    begins = recipe.model or recipe.init
    if begins:
        return Path(begins).name.removesuffix(".json")
    if recipe.data == [DEMO]:
        return DEMO
    return Path(recipe.data[0].partition("=")[0]).stem


def kept_report(target: Path, progress: Progress) -> TrainReport | None:
    """What was trained before, if its files are still those; its place is where it lies now."""
    saved = read_state(target / REPORT, TrainReport, progress=progress)
    if saved is None:
        return None
    digest = content_digest(target, leaving=BESIDE)
    if digest != saved.digest:
        progress.warn(
            f"{target} is not what was trained: its content has changed; it is trained again"
        )
        return None
    return msgspec.structs.replace(saved, path=str(target), reused=True)


def goes_on(kept: TrainReport, recipe: TrainRecipe, target: Path) -> bool:
    """Whether more steps are asked for than a run has done that left its checkpoints.

    What else differs is refused by the ranks, who know the checkpoint's own recipe.
    """
    is_more = recipe.steps is not None and recipe.steps > kept.steps
    has_state = any((target / "checkpoints").glob("step-*"))
    return is_more and has_state and recipe.resume == "auto"


def refuse_place(recipe: TrainRecipe, target: Path) -> None:
    """Raises: UsageError if writing a model there would take the place of what is no run's."""
    if not target.exists():
        return
    if not target.is_dir():
        raise UsageError(f"{target} is a file, and a model is a folder", hint="choose another -o")
    begins = recipe.model or recipe.init
    if begins and Path(begins).is_dir() and target.samefile(begins):
        raise UsageError(
            f"{target} is the model that is trained, and would be written over",
            hint="choose another -o",
        )
    is_of_a_run = any((target / name).exists() for name in BESIDE)
    if (target / CONFIG).is_file() and not is_of_a_run:
        raise UsageError(
            f"{target} holds a model that no run of llmops train made, and it would be written "
            "over",
            hint="choose another -o, or remove it",
        )


def refuse_another(
    kept: TrainReport,
    target: Path,
    recipe: TrainRecipe,
    *,
    key: str,
    world_size: int,
) -> None:
    """Raises: UsageError if the folder that the user chose holds the model of another run."""
    known = kept.manifest.digests.get("run", key)
    if known != key:
        differing = list(_differences(kept, recipe, world_size=world_size))
        words = ", ".join(differing) or "code or libraries"
        raise UsageError(
            f"{target} holds a model of another run: {words}",
            hint="the same options, another -o, or remove it",
        )


def _differences(kept: TrainReport, recipe: TrainRecipe, *, world_size: int) -> Iterator[str]:
    """What made another model, as far as the report has it."""
    if kept.manifest.digests.get("data") != data_digest(recipe):
        yield "data"
    if kept.world_size != world_size:
        yield f"processes ({kept.world_size} then, {world_size} now)"
    then = kept.manifest.recipe
    for name, now in msgspec.to_builtins(recipe).items():
        is_told = name in then and name not in NOT_OF_THE_MODEL
        if is_told and then[name] != now:
            yield f"{name} ({_shown(then[name])} then, {_shown(now)} now)"


def _shown(value: object) -> str:
    return "none" if value is None else str(value)


def copied(source: Path, target: Path, progress: Progress) -> bool:
    """Whether the model is there already, in the cache, and now in `target` too."""
    if not (source / REPORT).is_file() or kept_report(source, progress) is None:
        return False
    is_taken = target.exists() and any(target.iterdir())
    if is_taken:
        return False
    copy_folder(source, target, leaving=_leftovers)
    return True


def _leftovers(folder: str, names: list[str]) -> list[str]:
    """Of the run that made it."""
    del folder
    return [name for name in names if name.startswith(".") or name == "checkpoints"]
