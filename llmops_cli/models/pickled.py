"""Models whose weights are pickles: read as data only, and kept as safetensors."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.progress import Progress, Silent
from llmops_cli.core.spec import Env, JobSpec
from llmops_cli.models.convert import Conversion, convert, short
from llmops_cli.models.tensors import TensorInfo
from llmops_cli.runtime.closure import cache_key
from llmops_cli.runtime.env import ensure_env
from llmops_cli.runtime.job import run_job
from llmops_cli.runtime.paths import cache_dir

PROGRAM = "hf.unpickle"
ENVIRONMENT = "train"
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
SAFE = ("model.safetensors", "model.safetensors.index.json")
"""What Transformers reads before pickles; a file of another name it passes over."""
VARIABLES = {"HF_HUB_OFFLINE": "1"}


def is_pickled(folder: Path) -> bool:
    """Whether Transformers would read PyTorch's pickles there."""
    if any((folder / name).is_file() for name in SAFE):
        return False
    return any((folder / name).is_file() for name in PICKLES)


def as_safetensors(artifact: Artifact, *, progress: Progress) -> Artifact:
    """The same folder with weights that cannot run code, made once and kept in the cache.

    Raises: UsageError for pickles that hold more than tensors.
    """
    env = ensure_env(ENVIRONMENT, progress=progress)
    key = cache_key("safetensors", artifact.digest, program=PROGRAM, env=env)
    conversion = Conversion(
        name="unpickle",
        program=PROGRAM,
        env=env,
        target=cache_dir() / "unpickled" / f"{artifact.name}-{short(key)}",
        key=key,
        input={"model": artifact.path},
        source=artifact,
        variables=VARIABLES,
    )
    made = convert(conversion, progress=progress)
    return Artifact(
        reference=artifact.reference,
        format=artifact.format,
        path=str(conversion.target.resolve()),
        digest=made.digest,
        size_bytes=made.size_bytes,
    )


def pickled_tensors(folder: Path) -> list[TensorInfo]:
    """What tensors a folder of pickles holds. Raises: UsageError if they hold more."""
    env: Env = ensure_env(ENVIRONMENT, progress=Silent())
    job = JobSpec(
        name="unpickle",
        python=env.python,
        program=PROGRAM,
        input={"model": str(folder)},
        env=VARIABLES,
    )
    with TemporaryDirectory(prefix="llmops-") as scratch:
        found = run_job(job, folder=Path(scratch), progress=Silent()).output["tensors"]
    return [TensorInfo(name, dtype, tuple(shape), size) for name, dtype, shape, size in found]
