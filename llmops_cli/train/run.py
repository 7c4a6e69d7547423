"""`llmops train`: a recipe becomes a model folder, kept under all that decides what it holds."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec

from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import JobSpec
from llmops_cli.models.find import find_model
from llmops_cli.runtime.contents import content_digest
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.files import locked, to_json, write_atomic
from llmops_cli.runtime.hardware import probe_gpus, usable_cores
from llmops_cli.runtime.job import JobResult, run_job
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.server import free_port
from llmops_cli.train.data import data_digest, write_demo_texts
from llmops_cli.train.defaults import DEMO
from llmops_cli.train.kept import (
    BESIDE,
    PROGRAM,
    REPORT,
    copied,
    kept_report,
    model_dir,
    refuse_another,
    run_key,
)
from llmops_cli.train.launch import ALONE, launch_of
from llmops_cli.train.prepare import prepare
from llmops_cli.train.recipe import TrainRecipe
from llmops_cli.train.report import TrainReport
from llmops_cli.train.settings import settings_of

HERE = "."
"""The model's place in the report that lies in its folder, which may be moved."""
Json = dict[str, object]


def train(
    recipe: TrainRecipe,
    origins: dict[str, str],
    *,
    progress: Progress,
    output: Path | None = None,
    alone: bool = False,
) -> TrainReport:
    """The trained model's report; at once if it is there and its files are those that were made.

    `output`: where the model and all that belongs to the run lie, in place of the cache. `alone`:
    on one process, also inside somebody else's launcher.
    Raises: UsageError for bad data, EnvironmentMissing without torch, EngineFailed if training
    fails.
    """
    run = _Run(recipe, origins, progress, alone=alone)
    target = output or model_dir(recipe, run.key)
    if not run.launch.is_first:
        return run.follow(target)
    with locked(target):
        kept = kept_report(target, progress)
        if kept is not None:
            refuse_another(kept, target, run.key)
            return kept
        if output is not None and copied(model_dir(recipe, run.key), output, progress):
            return kept_report(output, progress) or run.lead(target)
        return run.lead(target)


class _Run:
    """One command's training, whichever of its processes this is."""

    def __init__(
        self,
        recipe: TrainRecipe,
        origins: dict[str, str],
        progress: Progress,
        *,
        alone: bool,
    ) -> None:
        self._clock = RunClock()
        self._recipe = recipe
        self._origins = origins
        self._progress = progress
        self._env = find_env("train")
        self.launch = ALONE
        if not alone:
            gpus = len(probe_gpus())
            self.launch = launch_of(recipe, environ=os.environ, gpus=gpus, port=free_port())
        self._model: str | None = None
        if recipe.model is not None:
            self._model = find_model(recipe.model, progress=progress).path
        self.key = run_key(recipe, self._env, world_size=self.launch.world_size)

    def lead(self, target: Path) -> TrainReport:
        """Trains, and writes the report into the model's folder."""
        target.mkdir(parents=True, exist_ok=True)
        result = self._work(target)
        if self._recipe.data == [DEMO] and self._model is None:
            write_demo_texts(target)
        report = self._report(target, result)
        write_atomic(target / REPORT, to_json(report))
        shutil.rmtree(target / ".job")
        return msgspec.structs.replace(report, path=str(target))

    def follow(self, target: Path) -> TrainReport:
        """Trains as one of the other ranks that somebody else started."""
        result = self._work(target)
        return self._report(target, result)

    def _work(self, target: Path) -> JobResult:
        job_folder = target / ".job"
        prepared = prepare(
            self._recipe,
            env=self._env,
            model=self._model,
            folder=job_folder,
            progress=self._progress,
        )
        settings = settings_of(
            self._recipe,
            self.launch,
            model=self._model,
            samples_per_epoch=int(str(prepared["samples"])),
            cores=usable_cores(),
        )
        job = JobSpec(
            name="train",
            python=self._env.python,
            program=PROGRAM,
            launcher=self.launch.argv,
            input={
                "settings": settings,
                "data": prepared,
                "tokenizer": prepared["tokenizer"],
                "output": str(target),
            },
            env={
                "HF_HUB_OFFLINE": "1",
                "OMP_NUM_THREADS": str(settings["threads"]),
                "TOKENIZERS_PARALLELISM": "true",
                **self.launch.env,
            },
        )
        folder = job_folder / f"rank-{self.launch.rank}"
        return run_job(job, folder=folder, progress=self._progress)

    def _report(self, target: Path, result: JobResult) -> TrainReport:
        digest = content_digest(target, leaving=BESIDE)
        manifest = self._clock.manifest(
            self._recipe,
            self._origins,
            python=self._env.python,
            seed=self._recipe.seed,
            digests={"model": digest, "data": data_digest(self._recipe), "run": self.key},
        )
        output = result.output
        return TrainReport(
            manifest=manifest,
            path=HERE,
            digest=digest,
            parameters=output["parameters"],
            steps=output["steps"],
            loss=output["loss"],
            tokens=output["tokens"],
            tokens_per_s=output["tokens"] / output["wall_s"],
            cpu_s=output["cpu_s"],
            memory=result.memory,
            loss_curve=output["loss_curve"],
            grad_norm_curve=output["grad_norm_curve"],
            learning_rate_curve=output["learning_rate_curve"],
            tokens_per_s_curve=output["tokens_per_s_curve"],
            strategy=output["in_force"]["strategy"],
            world_size=output["in_force"]["world_size"],
            in_force=output["in_force"],
        )
