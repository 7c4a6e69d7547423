"""What a user types as MODEL, as an artifact in a format the engine can load."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import cast

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import UsageError
from llmops_cli.core.names import load_object
from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import JobSpec
from llmops_cli.engines import Engine, engines_for
from llmops_cli.engines.options import EngineOptions
from llmops_cli.models.find import artifact_at, find_model
from llmops_cli.runtime.digests import digest_path, digest_value
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.files import locked
from llmops_cli.runtime.job import run_job
from llmops_cli.runtime.paths import cache_dir

Converts = Callable[[Artifact, Progress], Artifact]
CONVERTERS = {"gguf": "llmops_cli.quantize.run:as_gguf"}


def as_gguf(artifact: Artifact, *, progress: Progress) -> Artifact:
    """The model as an F16 GGUF file, converted once and kept in the cache."""
    convert = cast(Converts, load_object(CONVERTERS["gguf"]))
    return convert(artifact, progress)


def as_ct2(artifact: Artifact, *, progress: Progress) -> Artifact:
    """The model converted for CTranslate2, once, in the cache."""
    env = find_env("ctranslate2")
    target = cache_dir() / "ct2" / (artifact.digest or "sha256:unknown")[7:19]
    with locked(target):
        if not (target / "model.bin").exists():
            partial = target.with_name(f"{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            job = JobSpec(
                name="ct2-convert",
                python=env.python,
                program="ct2.convert",
                input={"model": artifact.path, "output": str(partial)},
            )
            run_job(job, folder=cache_dir() / "jobs" / f"ct2-{target.name}", progress=progress)
            partial.rename(target)
    return artifact_at(artifact.reference, target, "ct2")


def with_parts(
    engine: Engine,
    artifact: Artifact,
    options: EngineOptions,
    *,
    progress: Progress,
) -> Artifact:
    """The artifact with the adapters and the draft model that the options name, in the engine's
    format.

    Raises: UsageError for an adapter that is none, or is another model's.
    """
    parts = {
        lora.path: _adapter(engine, artifact, lora.path, progress=progress) for lora in options.lora
    }
    guess = options.speculative
    if guess is not None and guess.kind == "draft":
        parts[guess.path] = str(for_engine(engine, guess.path, progress=progress).path)
    elif guess is not None and guess.path:
        parts[guess.path] = str(find_model(guess.path, progress=progress).path)
    return msgspec.structs.replace(artifact, parts=parts)


def _adapter(engine: Engine, base: Artifact, reference: str, *, progress: Progress) -> str:
    path = Path(reference).expanduser().resolve()
    if "gguf" in engine.facts.formats:
        if path.is_dir():
            return _adapter_as_gguf(base, path, progress=progress)
        if not path.is_file():
            raise UsageError(
                f"no adapter at {reference}", hint="a PEFT folder or a GGUF adapter file"
            )
    elif not (path / "adapter_config.json").is_file():
        raise UsageError(
            f"{reference} has no adapter_config.json", hint="pass a PEFT adapter folder"
        )
    return str(path)


def _adapter_as_gguf(base: Artifact, folder: Path, *, progress: Progress) -> str:
    """The PEFT adapter for llama.cpp, converted once for each base model."""
    target = (
        cache_dir() / "adapters" / f"{digest_value([base.digest, digest_path(folder)])[7:19]}.gguf"
    )
    with locked(target):
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".partial")
            job = JobSpec(
                name="lora-convert",
                python=find_env("llamacpp").python,
                program="llamacpp.lora",
                input={"base": base.path, "adapter": str(folder), "target": str(partial)},
            )
            run_job(job, folder=cache_dir() / "jobs" / f"lora-{target.stem}", progress=progress)
            partial.rename(target)
    return str(target)


def quantized_dir(artifact: Artifact) -> Path:
    """Where files made from this model are kept when the user names no folder."""
    return cache_dir() / "quantized" / (artifact.digest or "sha256:unknown")[7:19]


def for_engine(engine: Engine, reference: str, *, progress: Progress) -> Artifact:
    """The model in a format that `engine` serves."""
    if not engine.facts.formats:
        return Artifact(reference=reference, format="remote")
    artifact = find_model(reference, progress=progress)
    if artifact.format in engine.facts.formats:
        return artifact
    if artifact.format == "hf":
        if "gguf" in engine.facts.formats:
            return as_gguf(artifact, progress=progress)
        if "ct2" in engine.facts.formats:
            return as_ct2(artifact, progress=progress)
    able = engines_for(artifact.format)
    raise UsageError(
        f"this engine serves {', '.join(engine.facts.formats)}; {reference} is {artifact.format}",
        hint=f"--backend {able[0]}" if able else "convert the model first",
    )
