"""How quantization runs its programs: offline, with logs that stay only where they failed."""

from __future__ import annotations

import os
from pathlib import Path

from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import JobSpec
from llmops_cli.runtime.files import remove
from llmops_cli.runtime.job import JobResult, Json, run_job
from llmops_cli.runtime.paths import cache_dir

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def run_making(
    job: JobSpec,
    *,
    name: str,
    progress: Progress,
) -> JobResult:
    """Runs a job whose log stays where it failed."""
    folder = _folder(name)
    result = run_job(job, folder=folder, progress=progress)
    remove(folder)
    return result


def run_measuring(job: JobSpec, *, progress: Progress) -> Json:
    """What a job that only looks wrote."""
    return run_making(job, name=job.name, progress=progress).output


def _folder(name: str) -> Path:
    return cache_dir() / "jobs" / f"quantize-{name}-{os.getpid()}"
