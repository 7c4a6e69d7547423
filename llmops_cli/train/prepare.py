"""Before the ranks start: data and tokenizer are made ready by one process of this node."""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import Env, JobSpec
from llmops_cli.runtime.files import locked
from llmops_cli.runtime.job import run_job
from llmops_cli.train.data import data_files, on_disk
from llmops_cli.train.recipe import TrainRecipe

MAKES_TOKENIZER = "train.tokenizer"
TOKENIZER_CONFIG = "tokenizer_config.json"
Json = dict[str, object]


def prepare(
    recipe: TrainRecipe,
    *,
    env: Env,
    model: str | None,
    folder: Path,
    progress: Progress,
) -> Json:
    """What the ranks read, and what the report has of it.

    One process at a time makes it ready, so ranks that somebody else started may all ask.
    Raises: UsageError naming file and line of bad data.
    """
    with locked(folder / "prepared"):
        files = msgspec.to_builtins(on_disk(data_files(recipe), recipe, folder))
        tokenizer = tokenizer_of(recipe, model)
        if tokenizer is None:
            tokenizer = folder / "tokenizer"
            _make_tokenizer(recipe, env, files, tokenizer, progress)
    samples = Path(files[0]["path"]).read_bytes().count(b"\n")
    return {"tokenizer": str(tokenizer), "files": files, "samples": samples}


def tokenizer_of(recipe: TrainRecipe, model: str | None) -> Path | None:
    """Its folder: the one asked for, else the model's. None: it is made of the data."""
    if recipe.tokenizer is not None:
        return Path(recipe.tokenizer)
    if model is not None:
        return Path(model)
    if recipe.init is not None:
        beside = Path(recipe.init)
        folder = beside if beside.is_dir() else beside.parent
        if (folder / TOKENIZER_CONFIG).is_file():
            return folder
    return None


def _make_tokenizer(
    recipe: TrainRecipe,
    env: Env,
    files: list[Json],
    tokenizer: Path,
    progress: Progress,
) -> None:
    if (tokenizer / TOKENIZER_CONFIG).is_file():
        return
    job = JobSpec(
        name="tokenizer",
        python=env.python,
        program=MAKES_TOKENIZER,
        input={"files": files, "vocab_size": recipe.vocab_size, "output": str(tokenizer)},
        env={"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"},
    )
    run_job(job, folder=tokenizer.with_name("tokenizer-job"), progress=progress)
