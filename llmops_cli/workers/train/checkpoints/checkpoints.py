"""A run's checkpoints: when they are due, what they hold, and going on from the newest."""

import json
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
import transformers

from _shared.protocol import JobError, Json
from train.checkpoints import folder as folders
from train.checkpoints.manifest import Manifest, digest_json
from train.checkpoints.reader import Found, load, newest_whole
from train.checkpoints.sameness import check_recipe, check_steps, recipe_of
from train.checkpoints.writer import Saved, Writer
from train.loop import BatchSource, Position, Step
from train.notices import Notices
from train.ranks import Ranks, share_value
from train.settings import Settings
from train.strategies.strategy import Strategy

RANDOM = "torch's generator is seeded for each step by seed, rows and share (train.loop.seed_step)"


class Keeper(Protocol):
    """Whoever has sums, curves or windows that a resumed run must go on with."""

    def state(self) -> Json: ...

    def restore(self, state: Json) -> None: ...


class StepFile(Protocol):
    """Whoever writes lines of steps, which must be on disk before a checkpoint knows of them."""

    def sync(self) -> None: ...


class Run(NamedTuple):
    """What a checkpoint is of. data: digests of all that is read, by name."""

    strategy: Strategy
    source: BatchSource
    settings: Settings
    ranks: Ranks
    data: Json


class Checkpoints:
    """Saves while training goes on, and finds what was saved."""

    def __init__(
        self,
        root: Path,
        run: Run,
        notices: Notices,
        *,
        keepers: Mapping[str, Keeper],
    ) -> None:
        self._root = root
        self._run = run
        self._notices = notices
        self._keepers = keepers
        self.files: StepFile | None = None
        self._writer = Writer(root, run.ranks, keep=run.settings.keep)
        self._newest: int | None = None
        self.validation: float | None = None
        self.saves: list[Saved] = []
        self.copy_s = 0.0

    def clean(self, *, anew: bool) -> None:
        """Leftovers of runs that were killed go; with `anew` whole checkpoints are set aside."""
        if self._run.ranks.is_first:
            for name in folders.clean(self._root):
                self._notices.say(f"{name} was left half written, and is removed")
            aside = folders.set_aside(self._root) if anew else None
            if aside is not None:
                self._notices.say(f"earlier checkpoints are in {aside} now")
        share_value(self._run.ranks, None)  # nobody looks before that

    def resume(self) -> Position:
        """Goes on from the newest whole checkpoint, if there is one.

        Raises: JobError if it is of another run, or has other states than this one keeps.
        """
        found = newest_whole(self._root, self._run.ranks)
        for line in found.passed_over:
            self._notices.say(line)
        if found.folder is None or found.manifest is None:
            return Position()
        self._check(found.folder, found.manifest)
        self._take(found.folder, found.manifest)
        self._notices.say(f"goes on from {found.folder.name}")
        return Position(found.manifest.step, found.manifest.left_out)

    def _check(self, folder: Path, manifest: Manifest) -> None:
        settings = self._run.settings
        asked = recipe_of(settings, self._run.data)
        check_recipe(manifest.recipe | manifest.data, asked | self._run.data, folder.name)
        check_steps(manifest.step, settings.steps, folder.name)

    def _take(self, folder: Path, manifest: Manifest) -> None:
        load(folder, self._run.strategy)
        self._run.source.restore(manifest.source)
        for name, keeper in self._keepers.items():
            if name in manifest.progress:
                keeper.restore(manifest.progress[name])
        self._newest = manifest.step
        self.validation = manifest.validation

    def roll_back(self, position: Position) -> Position:
        """The state of the last whole checkpoint; rows up to the failed step's are left out."""
        self.tell_finished(wait=True)
        found = self._whole()
        if found.folder is None or found.manifest is None:
            message = "there is no checkpoint to roll back to"
            raise JobError("EngineFailed", message, "--checkpoint-every N, or --on-spike skip")
        self._take(found.folder, found.manifest)
        done = found.manifest.step
        return Position(done, position.rows_step + 1 - done)

    def _whole(self) -> Found:
        return newest_whole(self._root, self._run.ranks)

    def is_due(self, step: Step) -> bool:
        every = self._run.settings.checkpoint_every
        is_last = step.number == self._run.settings.steps
        return every > 0 and (step.number % every == 0 or is_last)

    def save(self, position: Position, *, wait: bool) -> None:
        """The state after `position.done` steps. Training goes on beside it, unless `wait`.

        Raises: JobError if `wait` and it could not be written.
        """
        self.tell_finished(wait=True)
        if self._newest != position.done:
            start_s = time.monotonic()
            if self.files is not None:
                self.files.sync()
            self._writer.begin(self._run.strategy.state(), self._manifest(position))
            self.copy_s += time.monotonic() - start_s
        self.tell_finished(wait=wait, is_needed=wait)

    def tell_finished(self, *, wait: bool, is_needed: bool = False) -> None:
        """Says what became of the save before; one that failed is a line, unless it is needed."""
        saved = self._writer.finished(wait=wait)
        if saved is None:
            return
        self.saves.append(saved)
        if saved.problem is None:
            self._newest = saved.step
            return
        there = "no checkpoint is there"
        if self._newest is not None:
            there = f"step-{self._newest} is whole"
        message = f"step-{saved.step} could not be saved ({saved.problem}); {there}"
        if is_needed:
            raise JobError("EnvironmentMissing", message, "free some space, or choose another -o")
        self._notices.say(f"{message}; training goes on")

    def _manifest(self, position: Position) -> Manifest:
        recipe = recipe_of(self._run.settings, self._run.data)
        return Manifest(
            step=position.done,
            left_out=position.left_out,
            strategy=self._run.settings.strategy,
            world_size=self._run.ranks.world_size,
            versions=_versions(),
            recipe=recipe,
            recipe_digest=digest_json(recipe),
            data=self._run.data,
            source=_copied(self._run.source.state()),
            random={"rule": RANDOM, "seed": self._run.settings.seed},
            progress={name: _copied(keeper.state()) for name, keeper in self._keepers.items()},
            validation=self.validation,
            files={},
        )


def _copied(state: Json) -> Json:
    """As it is now: training goes on while the manifest waits for the files."""
    copy: Json = json.loads(json.dumps(state))
    return copy


def _versions() -> Json:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
