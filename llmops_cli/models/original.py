"""The original of a copy in Transformers: where that runs, and what it says, computed once."""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import Env, JobSpec
from llmops_cli.models.provenance import Made, kept_model, record_beside, write_provenance
from llmops_cli.runtime.closure import cache_key
from llmops_cli.runtime.contents import content_digest
from llmops_cli.runtime.digests import digest_file, visible_files
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.files import locked, remove
from llmops_cli.runtime.hardware import usable_cores
from llmops_cli.runtime.job import Json
from llmops_cli.runtime.leftovers import run_in_cache
from llmops_cli.runtime.paths import cache_dir, recipes_dir

PROGRAM = "hf.reference"
VECTOR_PROGRAM = "hf.vector_reference"
ENVIRONMENTS = ("transformers", "train", "converter", "quantize", "ctranslate2")
"""Which have Transformers, the newest first."""
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
HOW_TO_GET_IT = "llmops env create transformers"


def transformers_env() -> Env | None:
    """A Python that has Transformers, of those that are here; none is made for a check."""
    for name in ENVIRONMENTS:
        try:
            return find_env(name)
        except EnvironmentMissing:
            continue
    return None


def reference_of(
    original: Artifact,
    *,
    makes_vectors: bool,
    env: Env,
    progress: Progress,
) -> Path:
    """The folder of what the original says, computed unless it is there and as it was computed.

    Raises: UsageError for weights that are not whole; EngineFailed if Transformers cannot read it.
    """
    text = recipes_dir() / "data" / "heldout.txt"
    program = VECTOR_PROGRAM if makes_vectors else PROGRAM
    key = cache_key(original.digest, digest_file(text), program=program, env=env)
    name = key.removeprefix("sha256:")[:12]
    place = cache_dir() / "originals" / name
    record = record_beside(place)
    with locked(place):
        kept = kept_model(place, Made, key=key, record=record, progress=progress)
        if kept is None:
            job = _job(original, text, program, env)
            _make(job, place, progress=progress)
            write_provenance(record, _made(place, key))
    return place


def _made(place: Path, key: str) -> Made:
    size_bytes = sum(file.stat().st_size for file in visible_files(place))
    return Made(key=key, digest=content_digest(place), size_bytes=size_bytes)


def _job(
    original: Artifact,
    text: Path,
    program: str,
    env: Env,
) -> JobSpec:
    return JobSpec(
        name="original",
        python=env.python,
        program=program,
        input={"model": original.path, "text": str(text), "threads": usable_cores()},
        env=OFFLINE,
    )


def _make(job: JobSpec, place: Path, *, progress: Progress) -> None:
    partial = place.with_name(f".{place.name}.partial")
    remove(partial)
    whole = msgspec.structs.replace(job, input={**job.input, "output": str(partial)})
    try:
        run_and_forget(whole, progress=progress)
        remove(place)
        partial.rename(place)
    finally:
        remove(partial)


def run_and_forget(job: JobSpec, *, progress: Progress) -> Json:
    """What a job wrote; its log stays where it failed."""
    return run_in_cache(job, name=f"check-{job.name}", progress=progress).output
