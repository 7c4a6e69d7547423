"""The built-in model as a model with a name: trained here on first use."""

from __future__ import annotations

import shutil
from pathlib import Path

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.progress import Progress
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.files import locked, size_of
from llmops_cli.train.defaults import DEMO
from llmops_cli.train.kept import kept_report, model_dir, run_key
from llmops_cli.train.recipe import TrainRecipe
from llmops_cli.train.report import TrainReport
from llmops_cli.train.run import train


class DemoModel:
    """What `llmops train` alone makes."""

    name = DEMO
    summary = "a chat model of 1.4 million parameters: facts, sums, refusals, a secret to keep"
    origin = "llmops train"
    licence = "Apache-2.0"
    format = "hf"
    cost = "about two minutes of training on two CPU cores"

    def place(self) -> Path:
        """Raises: EnvironmentMissing where nothing can train: libraries are part of its key."""
        recipe = TrainRecipe()
        key = run_key(recipe, find_env("train"), world_size=1)
        return model_dir(recipe, key)

    def kept(self, *, progress: Progress) -> Artifact | None:
        try:
            place = self.place()
        except EnvironmentMissing:  # it is trained once its libraries are there
            return None
        report = kept_report(place, progress)
        return None if report is None else _artifact(report)

    def make(self, *, progress: Progress) -> Artifact:
        return _artifact(train(TrainRecipe(), {}, progress=progress, alone=True))

    def remove(self) -> int:
        place = self.place()
        with locked(place):
            if not place.exists():
                return 0
            freed_bytes = size_of(place)
            shutil.rmtree(place)
        return freed_bytes


DEMO_MODEL = DemoModel()


def _artifact(report: TrainReport) -> Artifact:
    return Artifact(
        reference=DEMO,
        format="hf",
        path=report.path,
        digest=report.digest,
        size_bytes=size_of(Path(report.path)),
    )
