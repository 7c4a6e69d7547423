"""How quantization runs its programs: offline, with logs that stay only where they failed."""

from __future__ import annotations

from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import JobSpec
from llmops_cli.runtime.job import JobResult, Json
from llmops_cli.runtime.leftovers import run_in_cache

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
    return run_in_cache(job, name=f"quantize-{name}", progress=progress)


def run_measuring(job: JobSpec, *, progress: Progress) -> Json:
    """What a job that only looks wrote."""
    return run_making(job, name=job.name, progress=progress).output
