"""What runs leave in the cache, and who clears it away.

A job's folder stays where the job failed, since the error names the log in it. One whose process
was killed, and half made models that nobody works on, go when the next job starts.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from llmops_cli.core.errors import EngineFailed, LlmopsError
from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import JobSpec
from llmops_cli.runtime.files import claimed, locked, make_folder, remove
from llmops_cli.runtime.job import JobResult, run_job
from llmops_cli.runtime.paths import cache_dir

FAILED = "failed"
"""A file in the folder of a job that failed: its log is kept for a while."""
LOGS_KEPT_S = 7 * 24 * 3600
QUIET_S = 3600
"""What nobody has written to for so long, and nobody has locked, is not being made."""


def run_in_cache(
    job: JobSpec,
    *,
    name: str,
    progress: Progress,
) -> JobResult:
    """Runs a job in a folder of its own, which is gone afterwards unless the job failed."""
    root = cache_dir() / "jobs"
    make_folder(root)
    remove_left(root)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=root))
    with locked(folder):
        try:
            result = run_job(job, folder=folder, progress=progress)
        except EngineFailed:
            with suppress(OSError):
                (folder / FAILED).touch()
            raise
        except BaseException:
            remove(folder)
            raise
        remove(folder)
    return result


def remove_left(root: Path) -> None:
    """Folders of jobs that were killed, and logs that are a week old."""
    for folder in sorted(root.glob("[!.]*")):
        if _is_of_running(folder) or _has_fresh_log(folder):
            continue
        with suppress(LlmopsError), claimed(folder):
            remove(folder)


def _is_of_running(folder: Path) -> bool:
    """Releases before this one held no lock, and ended the name with their process's number."""
    ending = folder.name.rpartition("-")[2]
    return ending.isdecimal() and psutil.pid_exists(int(ending))


def _has_fresh_log(folder: Path) -> bool:
    mark = folder / FAILED
    return mark.exists() and _age_s(mark) < LOGS_KEPT_S


def remove_partials(folder: Path) -> None:
    """Half made models in a folder of the cache; a folder of the user's own is left alone."""
    if not folder.is_relative_to(cache_dir()):
        return
    for partial in sorted(folder.glob(".*.partial")):
        target = folder / partial.name.removeprefix(".").removesuffix(".partial")
        if min(map(_age_s, _tree(partial)), default=0.0) < QUIET_S:
            continue
        with suppress(LlmopsError), claimed(target):
            remove(partial)


def _tree(path: Path) -> Iterator[Path]:
    yield path
    yield from path.rglob("*")


def _age_s(path: Path) -> float:
    """Zero for what is gone already."""
    try:
        written_at_s = path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    return time.time() - written_at_s
