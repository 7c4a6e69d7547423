"""`llmops train`: a recipe becomes a model folder, kept under all that decides what it holds."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import Env, JobSpec
from llmops_cli.runtime.closure import cache_key
from llmops_cli.runtime.contents import content_digest, read_state
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.files import locked, size_of, to_json, write_atomic
from llmops_cli.runtime.hardware import usable_cores
from llmops_cli.runtime.job import JobResult, run_job
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.paths import cache_dir
from llmops_cli.train.data import DEMO, data_digest, data_file, write_demo_texts
from llmops_cli.train.recipe import TrainRecipe
from llmops_cli.train.report import TrainReport

PROGRAM = "train.lm"
REPORT = "train-report.json"
HERE = "."
"""The model's place in the report that lies in its folder, which may be moved."""


def model_dir(recipe: TrainRecipe, env: Env) -> Path:
    """Where the model of this recipe is, or will be.

    The key: recipe, data, and the training program with its libraries.
    """
    asked = msgspec.to_builtins(recipe)
    key = cache_key(asked, data_digest(recipe), program=PROGRAM, env=env)
    name = DEMO
    if recipe.data != DEMO:
        name = Path(recipe.data).stem
    return cache_dir() / "models" / f"{name}-{key[7:19]}"


def train(
    recipe: TrainRecipe,
    origins: dict[str, str],
    *,
    progress: Progress,
) -> TrainReport:
    """The trained model's report; at once if it is there and its files are those that were made.

    Raises: UsageError for bad data, EnvironmentMissing without torch, EngineFailed if training
    fails.
    """
    clock = RunClock()
    env = find_env("train")
    target = model_dir(recipe, env)
    with locked(target):
        kept = kept_report(target, progress)
        if kept is not None:
            return kept
        partial = target.with_name(f"{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        result = _train_into(partial, recipe, env, progress)
        report = _report(recipe, origins, clock, env=env, folder=partial, result=result)
        write_atomic(partial / REPORT, to_json(report))
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    return msgspec.structs.replace(report, path=str(target))


def demo_model(progress: Progress) -> Artifact:
    """The built-in model, trained on first use."""
    report = train(TrainRecipe(), {}, progress=progress)
    return Artifact(
        reference=DEMO,
        format="hf",
        path=report.path,
        digest=report.digest,
        size_bytes=size_of(Path(report.path)),
    )


def kept_report(target: Path, progress: Progress) -> TrainReport | None:
    """What was trained before, if its files are still those; its place is where it lies now."""
    saved = read_state(target / REPORT, TrainReport, progress=progress)
    if saved is None:
        return None
    digest = content_digest(target, leaving={REPORT})
    if digest != saved.digest:
        progress.warn(
            f"{target} is not what was trained: its content has changed; it is trained again"
        )
        return None
    return msgspec.structs.replace(saved, path=str(target), reused=True)


def _train_into(
    folder: Path,
    recipe: TrainRecipe,
    env: Env,
    progress: Progress,
) -> JobResult:
    threads = recipe.threads or usable_cores()
    job_folder = folder / ".job"
    job = JobSpec(
        name="train",
        python=env.python,
        program=PROGRAM,
        input={
            "recipe": msgspec.to_builtins(recipe),
            "data": str(data_file(recipe, job_folder)),
            "output": str(folder),
            "threads": threads,
        },
        env={
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": str(threads),
            "TOKENIZERS_PARALLELISM": "true",
        },
    )
    result = run_job(job, folder=job_folder, progress=progress)
    if recipe.data == DEMO:
        write_demo_texts(folder)
    shutil.rmtree(job_folder)
    return result


def _report(
    recipe: TrainRecipe,
    origins: dict[str, str],
    clock: RunClock,
    *,
    env: Env,
    folder: Path,
    result: JobResult,
) -> TrainReport:
    digest = content_digest(folder, leaving={REPORT})
    manifest = clock.manifest(
        recipe,
        origins,
        python=env.python,
        seed=recipe.seed,
        digests={"model": digest, "data": data_digest(recipe)},
    )
    output = result.output
    tokens = output["tokens"]
    return TrainReport(
        manifest=manifest,
        path=HERE,
        digest=digest,
        parameters=output["parameters"],
        steps=recipe.steps,
        loss=output["loss"],
        tokens=tokens,
        tokens_per_s=tokens / output["wall_s"],
        cpu_s=output["cpu_s"],
        memory=result.memory,
        loss_curve=[(step, loss) for step, loss in output["loss_curve"]],
    )
