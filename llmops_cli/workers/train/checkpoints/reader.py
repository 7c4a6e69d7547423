"""Finds the newest checkpoint that is whole, and loads it."""

import warnings
from pathlib import Path
from typing import NamedTuple

from torch import distributed
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict_loader import load as load_state

from _shared.protocol import JobError
from train.checkpoints import folder as folders
from train.checkpoints import manifest as manifests
from train.checkpoints.manifest import Manifest
from train.checkpoints.writer import first_line
from train.ranks import Ranks, gather_values, share_value
from train.strategies.strategy import Strategy


class Found(NamedTuple):
    """A whole checkpoint, and a line for each newer one that is not."""

    folder: Path | None
    manifest: Manifest | None
    passed_over: list[str]


def newest_whole(root: Path, ranks: Ranks) -> Found:
    """Every rank reads its part of the files, so the digests of a large one take their share."""
    passed_over: list[str] = []
    for step in share_value(ranks, folders.steps_in(root)):
        folder = folders.step_folder(root, step)
        manifest, problem = _checked(folder, ranks)
        if problem is None:
            return Found(folder, manifest, passed_over)
        passed_over.append(f"{folder.name} is passed over: {problem}")
    return Found(None, None, passed_over)


def _checked(folder: Path, ranks: Ranks) -> tuple[Manifest | None, str | None]:
    manifest = None
    own = None
    try:
        manifest = manifests.read(folder)
        own = _first_problem(folder, manifest, ranks)
    except manifests.NotWhole as error:
        own = str(error)
    problems = [problem for problem in gather_values(ranks, own) if problem]
    return manifest, problems[0] if problems else None


def _first_problem(folder: Path, manifest: Manifest, ranks: Ranks) -> str | None:
    names = sorted(manifest.files)
    for name in names[ranks.rank :: ranks.world_size]:
        problem = manifests.check_file(folder, name, manifest.files[name])
        if problem is not None:
            return problem
    return None


def load(folder: Path, strategy: Strategy) -> None:
    """The state of model and optimizer as the checkpoint has it, whatever layout saved it.

    Raises: JobError for a checkpoint that lacks what this run keeps.
    """
    state = strategy.state()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"torch\.distributed\.checkpoint")
        try:
            load_state(
                state,
                storage_reader=FileSystemReader(folder),
                no_dist=not distributed.is_initialized(),
            )
        except CheckpointException as error:
            causes = [first_line(cause) for cause, _ in error.failures.values()]
            message = f"{folder.name} has other states than this run keeps: {causes[0]}"
            hint = "begin anew in another -o, or with --resume never"
            raise JobError("UsageError", message, hint) from error
    strategy.restore(state)
