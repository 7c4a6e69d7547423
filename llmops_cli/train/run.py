"""`llmops train`: a recipe becomes a model folder, kept under all that decides what it holds."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import msgspec

from llmops_cli.core.errors import EngineFailed, UsageError
from llmops_cli.core.progress import Progress, Silent
from llmops_cli.core.spec import JobSpec
from llmops_cli.models.prepare import find_original
from llmops_cli.runtime.contents import content_digest
from llmops_cli.runtime.env import ensure_env
from llmops_cli.runtime.files import claimed, locked, to_json, write_atomic
from llmops_cli.runtime.hardware import probe_gpus, usable_cores
from llmops_cli.runtime.job import RANK_ERRORS, JobResult, run_job
from llmops_cli.runtime.kills import kills_for_memory
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.server import free_port
from llmops_cli.train.data import data_digest, is_demo, write_demo_texts
from llmops_cli.train.environments import environment_of
from llmops_cli.train.faults import explained
from llmops_cli.train.kept import (
    BESIDE,
    JOBS,
    PROGRAM,
    REPORT,
    copied,
    goes_on,
    kept_report,
    model_dir,
    refuse_another,
    refuse_place,
    run_key,
)
from llmops_cli.train.launch import ALONE, launch_of
from llmops_cli.train.planned import planned
from llmops_cli.train.prepare import Prepared, prepare
from llmops_cli.train.preview import preview_lines
from llmops_cli.train.recipe import TrainRecipe
from llmops_cli.train.report import TrainReport
from llmops_cli.train.result import report_of
from llmops_cli.train.saved import require_place
from llmops_cli.train.settings import settings_of
from llmops_cli.train.taken import notes_of, refuse_no_model
from llmops_cli.train.torchrun import SHUTDOWN_TIMEOUT_S
from llmops_cli.train.trackers import require_trackers, trackers_of

LOGS = "logs"
KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(2 << 30),
}
"""glibc keeps what torch frees: given back, each step faults its pages in again, which took 5 to
10 % of the demo's CPU time."""
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
    report = train_as_rank(recipe, origins, progress=progress, output=output, alone=alone)
    if report is None:
        raise UsageError(
            "this process is one of several that a launcher started, and not the first",
            hint="start llmops train in them",
        )
    return report


def train_as_rank(
    recipe: TrainRecipe,
    origins: dict[str, str],
    *,
    progress: Progress,
    output: Path | None = None,
    alone: bool = False,
    keeps_run: bool = False,
) -> TrainReport | None:
    """As `train`. None: this process is not the first of its run, and that one reports.

    `keeps_run`: its report goes into results/ as well, so there must be room for it.
    """
    run = _Run(recipe, origins, progress, alone=alone)
    target = output or model_dir(recipe, run.key)
    if not run.launch.is_first:
        run.follow(target)
        return None
    if keeps_run:
        require_place()
    if output is not None:
        refuse_place(recipe, output)
    with locked(target) if output is None else claimed(target):
        kept = run.kept(target)
        if kept is not None and goes_on(kept, recipe, target):
            return run.lead(target)
        if kept is not None:
            world_size = run.launch.world_size
            refuse_another(kept, target, recipe, key=run.key, world_size=world_size)
            return kept
        if output is not None and run.is_copied(output):
            return kept_report(output, progress) or run.lead(target)
        return run.lead(target)


class _Done(NamedTuple):
    result: JobResult
    prepared: Prepared


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
        self.launch = ALONE
        if not alone:
            gpus = len(probe_gpus())
            self.launch = launch_of(recipe, environ=os.environ, gpus=gpus, port=free_port())
        if not self.launch.is_first:
            self._progress = Silent()
        self._model: str | None = None
        for note in notes_of(msgspec.structs.asdict(recipe)):
            self._progress.say(note)
        if recipe.model is not None:
            refuse_no_model(recipe.model)
            self._model = find_original(recipe.model, progress=self._progress).path
        self.plan = planned(
            recipe, origins, self.launch, model=self._model, progress=self._progress
        )
        # what is wrong with the wish is told before anything is fetched
        name = environment_of(self.plan.recipe.strategy)
        self._env = ensure_env(name, progress=self._progress)
        require_trackers(recipe, self._env)
        self.key = run_key(recipe, self._env, world_size=self.launch.world_size)

    def kept(self, target: Path) -> TrainReport | None:
        """The report of a model that is there, unless it is to be made anew."""
        if self._recipe.resume == "never":
            return None
        return kept_report(target, self._progress)

    def is_copied(self, output: Path) -> bool:
        """Whether the cache had the model, which is now in the user's folder too."""
        if self._recipe.resume == "never":
            return False
        return copied(model_dir(self._recipe, self.key), output, self._progress)

    def lead(self, target: Path) -> TrainReport:
        """Trains, and writes the report into the model's folder."""
        target.mkdir(parents=True, exist_ok=True)
        done = self._work(target)
        if is_demo(self._recipe):
            write_demo_texts(target)
        report = self._report(target, done)
        write_atomic(target / REPORT, to_json(report))
        self._clean(target)
        return msgspec.structs.replace(report, path=str(target))

    def follow(self, target: Path) -> None:
        """Trains as one of the other ranks, without a word, unless the model is there."""
        if self.kept(target) is None:
            self._work(target)
            self._clean(target)

    def _clean(self, target: Path) -> None:
        """This process's own messages; others, and other nodes, may still read theirs."""
        shutil.rmtree(self._job_folder(target))
        if not self.launch.joined and self.launch.nnodes == 1:
            shutil.rmtree(target / JOBS)

    def _job_folder(self, target: Path) -> Path:
        return target / JOBS / f"rank-{self.launch.rank}"

    def _work(self, target: Path) -> _Done:
        prepared = prepare(
            self._recipe,
            env=self._env,
            model=self._model,
            folder=target / JOBS,
            progress=self._progress,
        )
        self._tell(prepared)
        settings = settings_of(
            self.plan.recipe,
            self.launch,
            model=self._model,
            rows_per_epoch=prepared.rows_per_epoch(self._recipe),
            cores=usable_cores(),
            flops_per_token=self.plan.arithmetic.flops_per_token,
        )
        job = JobSpec(
            name="train",
            python=self._env.python,
            program=PROGRAM,
            launcher=self.launch.argv,
            has_first_rank=self.launch.joined or self.launch.is_first,
            input={
                "settings": settings,
                "data": prepared.data,
                "tokenizer": prepared.tokenizer,
                "task": prepared.task,
                "digests": self._digests(prepared),
                "arithmetic": msgspec.to_builtins(self.plan.arithmetic),
                "trackers": trackers_of(self._recipe),
                "resume": self._recipe.resume == "auto",
                "output": str(target),
            },
            grace_s=SHUTDOWN_TIMEOUT_S,
            hears_interrupt=True,
            env={
                "HF_HUB_OFFLINE": "1",
                "OMP_NUM_THREADS": str(settings["threads"]),
                **{name: os.environ.get(name, value) for name, value in KEPT_MEMORY.items()},
                "TOKENIZERS_PARALLELISM": "true",
                **self.launch.env,
            },
        )
        folder = self._job_folder(target)
        kills = kills_for_memory()
        try:
            result = run_job(job, folder=folder, progress=self._progress)
        except EngineFailed as error:
            if any(folder.glob(RANK_ERRORS)):
                raise
            raise explained(error, target / LOGS, kills_before=kills) from error
        return _Done(result, prepared)

    def _tell(self, prepared: Prepared) -> None:
        """Before the first step: what of the data is not trained, and how samples look."""
        if not self.launch.is_first:
            return
        for notice in prepared.notices:
            self._progress.say(notice)
        for line in preview_lines(prepared.preview, coloured=sys.stderr.isatty()):
            self._progress.say(line)

    def _digests(self, prepared: Prepared) -> Json:
        """Of all that is read, by name: a run goes on only with the same."""
        found = {
            "data": prepared.data["identity"],
            "tokenizer": content_digest(Path(prepared.tokenizer)),
        }
        if self._model is not None:
            found["model"] = content_digest(Path(self._model), leaving=BESIDE)
        return found

    def _report(self, target: Path, done: _Done) -> TrainReport:
        digest = content_digest(target, leaving=BESIDE)
        manifest = self._clock.manifest(
            self._recipe,
            self._origins,
            python=self._env.python,
            seed=self._recipe.seed,
            digests={"model": digest, "data": data_digest(self._recipe), "run": self.key},
        )
        return report_of(
            done.result,
            manifest,
            prepared=done.prepared,
            plan=self.plan,
        )
