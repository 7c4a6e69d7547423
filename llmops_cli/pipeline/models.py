"""What a user types as MODEL, as an artifact in a format the engine can load."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.recipe import QuantizeRecipe, TrainRecipe, resolve
from llmops_cli.engines import Engine
from llmops_cli.quantize.run import quantize
from llmops_cli.runtime.job import Json
from llmops_cli.runtime.paths import cache_dir
from llmops_cli.runtime.store import digest_path, size_of
from llmops_cli.train.run import train

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
OnEvent = Callable[[Json], None]


def find_model(reference: str, *, on_event: OnEvent) -> Artifact:
    """`demo` (trained on first use), a folder, a .gguf file, or an owner/name of the Hugging Face hub.

    Raises: UsageError for a path that is not there or no model.
    """
    if reference == "demo":
        recipe, origins = resolve(TrainRecipe)
        report = train(recipe, origins, on_event=on_event)
        return _artifact("demo", Path(report.path), "hf", digest=report.digest)
    path = Path(reference).expanduser()
    if path.is_file():
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise UsageError(f"{path} is no GGUF file", hint="pass a model folder, a .gguf file or demo")
        return _artifact(reference, path, "gguf")
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UsageError(
                f"{path} has no config.json", hint="pass a Hugging Face model folder, a .gguf file or demo"
            )
        return _artifact(reference, path, "hf")
    if HUB_NAME.fullmatch(reference) and not reference.startswith("."):
        return _artifact(reference, _download(reference), "hf")
    raise UsageError(
        f"no model at {reference}", hint="a folder, a .gguf file, owner/name of the Hugging Face hub, or demo"
    )


def _artifact(reference: str, path: Path, kind: str, *, digest: str | None = None) -> Artifact:
    path = path.resolve()
    return Artifact(
        reference=reference,
        format=kind,
        path=str(path),
        digest=digest or digest_path(path),
        size_bytes=size_of(path),
    )


def _download(name: str) -> Path:
    """The hub's local copy if there is one, else a download, since the user named a hub model."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise EnvironmentMissing(
            f"no folder {name}, and hub models need huggingface_hub", hint="pip install 'llmops-cli[train]'"
        ) from None
    patterns = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]
    for offline in (True, False):
        try:
            return Path(snapshot_download(name, allow_patterns=patterns, local_files_only=offline))
        except Exception as error:  # noqa: BLE001 - the hub raises its own, requests' and OS errors alike
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise EnvironmentMissing(
        f"no folder {name}, and the hub gave no such model: {reason[:160]}",
        hint="check the name and the network",
    )


def as_gguf(artifact: Artifact, *, on_event: OnEvent, warn: Callable[[str], None]) -> Artifact:
    """The model as an F16 GGUF file, converted once and kept in the cache."""
    recipe = QuantizeRecipe(model=artifact.reference, scheme=["F16"], imatrix="none", quality=False)
    report = quantize(recipe, {}, artifact, folder=quantized_dir(artifact), on_event=on_event, warn=warn)
    made = report.artifacts[0]
    return Artifact(
        reference=artifact.reference,
        format="gguf",
        path=made.path,
        digest=made.digest,
        size_bytes=made.size_bytes,
    )


def quantized_dir(artifact: Artifact) -> Path:
    """Where files made from this model are kept when the user names no folder."""
    return cache_dir() / "quantized" / (artifact.digest or "sha256:unknown")[7:19]


def for_engine(engine: Engine, reference: str, *, on_event: OnEvent, warn: Callable[[str], None]) -> Artifact:
    """The artifact in a format that `engine` serves."""
    if not engine.formats:
        return Artifact(reference=reference, format="remote")
    artifact = find_model(reference, on_event=on_event)
    if artifact.format in engine.formats:
        return artifact
    if "gguf" in engine.formats and artifact.format == "hf":
        return as_gguf(artifact, on_event=on_event, warn=warn)
    raise UsageError(f"this engine serves {', '.join(engine.formats)}, not {artifact.format}")
