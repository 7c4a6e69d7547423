"""The folders of checkpoints: their names, and how one appears and goes at once.

`step-N` is whole. `step-N.tmp-TOKEN` is being written, `step-N.was-TOKEN` was in the way of a new
one, `step-N.gone-TOKEN` is being removed. Only one run at a time works here (train.lock).
"""

import os
import re
import shutil
from pathlib import Path

ROOT = "checkpoints"
WHOLE = re.compile(r"step-(\d+)")
LEFT = re.compile(r"step-(\d+)\.(tmp|was|gone)-[0-9a-f]+")


def step_folder(root: Path, step: int) -> Path:
    return root / f"step-{step}"


def half_written(root: Path, step: int, token: str) -> Path:
    return root / f"step-{step}.tmp-{token}"


def steps_in(root: Path) -> list[int]:
    """Of checkpoints that were finished, newest first; their files are not looked at."""
    if not root.is_dir():
        return []
    found = [WHOLE.fullmatch(path.name) for path in root.iterdir()]
    steps = [int(match[1]) for match in found if match]
    return sorted(steps, reverse=True)


def publish(temporary: Path, final: Path, token: str) -> None:
    """`temporary`, whose files are on disk, becomes `final`, and that survives a power cut."""
    sync_folder(temporary)
    former = final.with_name(f"{final.name}.was-{token}")
    if final.exists():
        final.rename(former)
    temporary.rename(final)
    sync_folder(final.parent)
    shutil.rmtree(former, ignore_errors=True)


def remove(folder: Path, token: str) -> None:
    """Gone at once for whoever looks for whole checkpoints."""
    going = folder.with_name(f"{folder.name}.gone-{token}")
    folder.rename(going)
    shutil.rmtree(going, ignore_errors=True)


def clean(root: Path) -> list[str]:
    """Removes what killed runs left half done; the names of it."""
    if not root.is_dir():
        return []
    names = []
    for path in sorted(root.iterdir()):
        match = LEFT.fullmatch(path.name)
        if match:
            _settle(path, match[2], step_folder(root, int(match[1])))
            names.append(path.name)
    return names


def _settle(path: Path, kind: str, final: Path) -> None:
    is_needed = kind == "was" and not final.exists()
    if is_needed:
        path.rename(final)
    else:
        shutil.rmtree(path, ignore_errors=True)


def set_aside(root: Path) -> Path | None:
    """Moves all checkpoints out of the way of a run that begins anew; where they are now."""
    steps = steps_in(root)
    if not steps:
        return None
    number = 1
    while (aside := root / f"before-{number}").exists():
        number += 1
    aside.mkdir()
    for step in steps:
        step_folder(root, step).rename(step_folder(aside, step))
    return aside


def sync_folder(folder: Path) -> None:
    """Names in a folder are on disk only when the folder itself is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def discard(temporary: Path) -> None:
    """Removes a save that failed."""
    shutil.rmtree(temporary, ignore_errors=True)
