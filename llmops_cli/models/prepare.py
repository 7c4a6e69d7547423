"""What a user types as MODEL, as an artifact in a format the engine can load."""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.engines import Engine, engines_for, engines_of_vectors
from llmops_cli.engines.options import EngineOptions
from llmops_cli.models.catalog import CATALOG
from llmops_cli.models.convert import adapter_as_gguf, as_ct2, as_gguf, as_hf
from llmops_cli.models.converter import is_encoder
from llmops_cli.models.find import find_model
from llmops_cli.models.gguf.header import read_header
from llmops_cli.models.servable import require_servable
from llmops_cli.runtime.paths import at_home

CONVERTERS = {"gguf": as_gguf, "ct2": as_ct2}
"""Format -> what makes it of a Hugging Face folder."""


def for_engine(
    engine: Engine,
    reference: str,
    *,
    progress: Progress,
) -> Artifact:
    """The model in a format that `engine` serves.

    Raises: UsageError for a model that no conversion makes one of.
    """
    if not engine.facts.formats:
        return Artifact(reference=reference, format="remote")
    artifact = find_model(reference, progress=progress)
    _require_servable(artifact)
    if is_encoder(artifact):
        return _of_vectors(engine, artifact, progress=progress)
    return _in_a_format_of(engine, artifact, progress=progress)


def _of_vectors(
    engine: Engine,
    artifact: Artifact,
    *,
    progress: Progress,
) -> Artifact:
    if not engine.facts.makes_vectors:
        raise UsageError(
            f"{artifact.reference} makes vectors and no text, which this engine does not",
            hint=f"--backend {' or '.join(engines_of_vectors())}",
        )
    made = _in_a_format_of(engine, artifact, progress=progress)
    return msgspec.structs.replace(made, makes_vectors=True)


def _in_a_format_of(
    engine: Engine,
    artifact: Artifact,
    *,
    progress: Progress,
) -> Artifact:
    formats = engine.facts.formats
    if artifact.format in formats:
        return artifact
    artifact = unpacked(artifact, progress=progress)
    if artifact.format in formats:
        return artifact
    if artifact.format == "hf":
        for wanted, convert in CONVERTERS.items():
            if wanted in formats:
                return convert(artifact, progress=progress)
    able = engines_for(artifact.format)
    raise UsageError(
        f"this engine serves {', '.join(formats)}; {artifact.reference} is {artifact.format}",
        hint=f"--backend {able[0]}" if able else "convert the model first",
    )


def _require_servable(artifact: Artifact) -> None:
    if artifact.path is not None and artifact.format not in ("gguf", "ct2"):
        require_servable(Path(artifact.path))


def find_original(
    reference: str,
    *,
    progress: Progress,
    keeps_file: bool = False,
) -> Artifact:
    """The model as it is quantized: a folder where it can be one.

    `keeps_file`: a GGUF file of the catalog stays one, to be quantized once more.
    Raises: UsageError for one that makes vectors: its quality is no perplexity.
    """
    artifact = find_model(reference, progress=progress)
    if is_encoder(artifact):
        raise UsageError(
            f"{reference} makes vectors and no text: nothing here quantizes it",
            hint="llmops serve and llmops bench --api embeddings take it",
        )
    if keeps_file:
        return artifact
    return unpacked(artifact, progress=progress)


def unpacked(artifact: Artifact, *, progress: Progress) -> Artifact:
    """A GGUF file of the catalog as a Hugging Face folder; anything else as it is.

    A user's own file is left as it is: that it was quantized is what is wanted of it.
    """
    if artifact.format != "gguf" or artifact.reference not in CATALOG:
        return artifact
    model = CATALOG[artifact.reference]
    progress.say(f"{model.name} becomes a folder: {model.summary}")
    return as_hf(artifact, progress=progress)


def with_parts(
    engine: Engine,
    artifact: Artifact,
    options: EngineOptions,
    *,
    progress: Progress,
) -> Artifact:
    """The artifact with the adapters and the draft model that the options name.

    Each is in the engine's format.

    Raises: UsageError for an adapter that is none, or is another model's.
    """
    parts = {}
    for lora in options.lora:
        parts[lora.path] = _adapter(engine, artifact, lora.path, progress=progress)
    guess = options.speculative
    if guess is not None and guess.kind == "draft":
        parts[guess.path] = str(for_engine(engine, guess.path, progress=progress).path)
    elif guess is not None and guess.path:
        parts[guess.path] = str(find_model(guess.path, progress=progress).path)
    return msgspec.structs.replace(artifact, parts=parts)


def _adapter(
    engine: Engine,
    base: Artifact,
    reference: str,
    *,
    progress: Progress,
) -> str:
    path = at_home(reference).resolve()
    if "gguf" not in engine.facts.formats:
        if not (path / "adapter_config.json").is_file():
            raise UsageError(
                f"{reference} has no adapter_config.json", hint="pass a PEFT adapter folder"
            )
        return str(path)
    if path.is_dir():
        return str(adapter_as_gguf(base, path, progress=progress))
    if not path.is_file():
        raise UsageError(f"no adapter at {reference}", hint="a PEFT folder or a GGUF adapter file")
    read_header(path)  # llama.cpp ends, with the server in it, at a broken one
    return str(path)
