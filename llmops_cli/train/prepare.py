"""Before the ranks start: data and tokenizer are made ready by one process of this node."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import Env, JobSpec
from llmops_cli.runtime.files import locked
from llmops_cli.runtime.job import run_job
from llmops_cli.runtime.paths import at_home, cache_dir
from llmops_cli.runtime.rows import read_text
from llmops_cli.train.config_file import config_of
from llmops_cli.train.data import (
    DEMO_DATA,
    TASK,
    data_files,
    is_demo,
    on_disk,
    validation_files,
    write_demo_task,
)
from llmops_cli.train.defaults import DEMO
from llmops_cli.train.kept_data import INDEXES, TOKENIZERS, forget_damaged, remember_made
from llmops_cli.train.recipe import TrainRecipe

PROGRAM = "train.index"
TOKENIZER_CONFIG = "tokenizer_config.json"
Json = dict[str, object]


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What the ranks read (`data`, `tokenizer`), and what the user is told of it.

    `preview`: samples as pieces of text, each with whether it is learned.
    """

    data: Json
    tokenizer: str
    task: str | None = None
    notices: list[str]
    preview: list[list[tuple[str, bool]]]
    training: list[Json]
    validation: list[Json]

    def rows_per_epoch(self, recipe: TrainRecipe) -> int:
        """Samples, or about how many packed rows, of the training data."""
        counted = "tokens" if recipe.packing else "samples"
        total = sum(int(str(counts[counted])) for counts in self.training)
        if recipe.packing:
            return math.ceil(total / recipe.sequence_length)
        return total


def prepare(
    recipe: TrainRecipe,
    *,
    env: Env,
    model: str | None,
    folder: Path,
    progress: Progress,
) -> Prepared:
    """One process at a time makes it ready, so ranks that somebody else started may all ask.

    Raises: UsageError naming file and line of bad data.
    """
    with locked(folder / "index"):
        job = JobSpec(
            name="index",
            python=env.python,
            program=PROGRAM,
            input=_asked(recipe, model, folder),
            env={"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"},
        )
        forget_damaged(progress)
        result = run_job(job, folder=folder / "index", progress=progress)
        remember_made(progress)
    prepared = msgspec.convert(result.output, Prepared)
    if is_demo(recipe):
        return _of_the_demo(prepared, folder)
    return prepared


def _of_the_demo(prepared: Prepared, folder: Path) -> Prepared:
    """With its files by the names that a user knows."""
    names = {str((folder / DEMO_DATA).resolve()): DEMO, str(folder / TASK): f"{DEMO}, held out"}

    def told(text: str) -> str:
        for path, name in names.items():
            text = text.replace(path, name)
        return text

    return msgspec.structs.replace(
        prepared,
        task=str(folder / TASK),
        notices=[told(notice) for notice in prepared.notices],
        training=[{**file, "name": told(str(file["name"]))} for file in prepared.training],
        validation=[{**file, "name": told(str(file["name"]))} for file in prepared.validation],
    )


def _asked(recipe: TrainRecipe, model: str | None, folder: Path) -> Json:
    files = on_disk(data_files(recipe), recipe, folder)
    validation = [file.path for file in on_disk(validation_files(recipe), recipe, folder)]
    if is_demo(recipe):
        validation = [str(write_demo_task(folder))]
    tokenizer = tokenizer_of(recipe, model)
    return {
        "files": msgspec.to_builtins(files),
        "validation": validation,
        "validation_share": recipe.validation_share,
        "tokenizer": str(tokenizer) if tokenizer else None,
        "tokenizer_output": str(cache_dir() / TOKENIZERS),
        "vocab_size": _vocab_size(recipe),
        "seed": recipe.seed,
        "batch_size": recipe.batch_size,
        "sequence_length": recipe.sequence_length,
        "packing": recipe.packing,
        "train_on": recipe.train_on,
        "prompt_loss_weight": recipe.prompt_loss_weight,
        "too_long": recipe.too_long,
        "chat_template": chat_template(recipe),
        "preview": recipe.preview,
        "cache": str(cache_dir() / INDEXES),
    }


def _vocab_size(recipe: TrainRecipe) -> int:
    """Of a tokenizer that is made: as many tokens as a configuration has rows for, at most."""
    if recipe.init is None:
        return recipe.vocab_size
    rows = config_of(recipe, None).get("vocab_size")
    return rows if isinstance(rows, int) else recipe.vocab_size


def chat_template(recipe: TrainRecipe) -> str | None:
    """The text of the file, or chatml. Raises: UsageError if there is no such file."""
    name = recipe.chat_template
    if name is None or name == "chatml":
        return name
    try:
        return read_text(at_home(name)).replace("\r\n", "\n")
    except OSError as error:
        raise UsageError(
            f"--chat-template {name} cannot be read: {error}",
            hint="a .jinja file, or chatml",
        ) from error


def tokenizer_of(recipe: TrainRecipe, model: str | None) -> Path | None:
    """Its folder: the one asked for, else the model's. None: it is made of the data."""
    if recipe.tokenizer is not None:
        return at_home(recipe.tokenizer)
    if model is not None:
        return Path(model)
    if recipe.init is not None:
        beside = at_home(recipe.init)
        folder = beside if beside.is_dir() else beside.parent
        if (folder / TOKENIZER_CONFIG).is_file():
            return folder
    return None
