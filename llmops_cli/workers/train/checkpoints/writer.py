"""Writes checkpoints beside training, by all ranks together."""

import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

from torch import distributed
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.staging import BlockingAsyncStager
from torch.distributed.checkpoint.state_dict_saver import save

from train.checkpoints import folder as folders
from train.checkpoints import manifest as manifests
from train.checkpoints.manifest import Manifest, SavedFile
from train.ranks import Ranks, share_value

METADATA = ".metadata"


class Saved(NamedTuple):
    """How a save ended; with a `problem` nothing is left of it, and the ones before are whole."""

    step: int
    size_bytes: int
    wall_s: float
    problem: str | None


class _Part(NamedTuple):
    """What one rank wrote, or why it could not."""

    files: dict[str, SavedFile]
    problem: str | None


class Writer:
    """One save at a time: a copy of the state is made at once, its files in a thread.

    The threads of all ranks speak over a group of their own, so they are never mixed up with the
    messages of training.
    """

    def __init__(
        self,
        root: Path,
        ranks: Ranks,
        *,
        keep: int,
    ) -> None:
        self._root = root
        self._ranks = ranks
        self._keep = keep
        self._group = None
        if distributed.is_initialized():
            self._group = distributed.new_group(backend="gloo")
        self._token = share_value(ranks, token_hex(4))
        self._thread: threading.Thread | None = None
        self._saved: Saved | None = None
        warnings.filterwarnings("ignore", module=r"torch\.distributed\.checkpoint")

    def begin(self, state: dict[str, Any], manifest: Manifest) -> None:
        """Returns when the state is copied; the save before must have been waited for."""
        assert self._thread is None
        staged = BlockingAsyncStager(type_check=False).stage(state)
        work = lambda: self._write(staged, manifest)  # noqa: E731
        self._thread = threading.Thread(target=work, name="checkpoint", daemon=True)
        self._thread.start()

    def finished(self, *, wait: bool) -> Saved | None:
        """How the last save ended, told once; None if none has, or it is still written."""
        if self._thread is None:
            return None
        if self._thread.is_alive() and not wait:
            return None
        self._thread.join()
        self._thread = None
        return self._saved

    def _write(self, staged: dict[str, Any], manifest: Manifest) -> None:
        start_s = time.monotonic()
        try:
            self._saved = self._write_together(staged, manifest, start_s)
        except RuntimeError as error:  # another rank is gone
            wall_s = time.monotonic() - start_s
            self._saved = Saved(manifest.step, 0, wall_s, first_line(error))

    def _write_together(
        self,
        staged: dict[str, Any],
        manifest: Manifest,
        start_s: float,
    ) -> Saved:
        temporary = folders.half_written(self._root, manifest.step, self._token)
        part = self._attempt(lambda: self._write_part(staged, temporary))
        parts = self._gather(part)
        whole = self._attempt(lambda: self._finish(temporary, manifest, parts))
        problem = share_value(self._ranks, whole.problem, self._group)
        size_bytes = sum(file.size_bytes for each in parts for file in each.files.values())
        wall_s = time.monotonic() - start_s
        return Saved(manifest.step, size_bytes, wall_s, problem)

    def _attempt(self, work: Callable[[], dict[str, SavedFile]]) -> _Part:
        """A save that fails is told, and training goes on."""
        try:
            return _Part(work(), None)
        except CheckpointException as error:
            causes = [failure for failure, _ in error.failures.values()]
            return _Part({}, first_line(causes[0] if causes else error))
        except Exception as error:  # noqa: BLE001
            return _Part({}, first_line(error))

    def _write_part(self, staged: dict[str, Any], temporary: Path) -> dict[str, SavedFile]:
        temporary.mkdir(parents=True, exist_ok=True)
        save(
            staged,
            storage_writer=FileSystemWriter(temporary, sync_files=True),
            process_group=self._group,
            no_dist=self._group is None,
        )
        own = [*temporary.glob(f"__{self._ranks.rank}_*")]
        if self._ranks.is_first:
            own.append(temporary / METADATA)
        return {path.name: manifests.describe_file(path) for path in own}

    def _gather(self, part: _Part) -> list[_Part]:
        if self._group is None:
            return [part]
        parts: list[Any] = [None] * self._ranks.world_size
        distributed.all_gather_object(parts, part, group=self._group)
        return parts

    def _finish(
        self,
        temporary: Path,
        manifest: Manifest,
        parts: list[_Part],
    ) -> dict[str, SavedFile]:
        """On the first rank: the checkpoint appears, or nothing of it stays."""
        if not self._ranks.is_first:
            return {}
        problems = [part.problem for part in parts if part.problem]
        if problems:
            folders.discard(temporary)
            raise OSError(problems[0])
        files: dict[str, SavedFile] = {}
        for part in parts:
            files |= part.files
        try:
            self._publish(temporary, manifest, files)
        except OSError:
            folders.discard(temporary)
            raise
        return files

    def _publish(
        self,
        temporary: Path,
        manifest: Manifest,
        files: dict[str, SavedFile],
    ) -> None:
        fields = {**vars(manifest), "files": files}
        manifests.write(temporary, Manifest(**fields))
        final = folders.step_folder(self._root, manifest.step)
        folders.publish(temporary, final, self._token)
        for step in superfluous(self._root, self._keep):
            folders.remove(folders.step_folder(self._root, step), self._token)


def first_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def superfluous(root: Path, keep: int) -> list[int]:
    """Steps beside the newest `keep` and the best by validation loss."""
    steps = folders.steps_in(root)
    best = best_step(root, steps)
    return [step for step in steps[keep:] if step != best]


def best_step(root: Path, steps: list[int]) -> int | None:
    losses = {}
    for step in steps:
        try:
            manifest = manifests.read(folders.step_folder(root, step))
        except manifests.NotWhole:
            continue
        if manifest.validation is not None:
            losses[step] = manifest.validation
    if not losses:
        return None
    return min(losses, key=lambda step: losses[step])
