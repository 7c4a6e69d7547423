"""What a user types as MODEL: demo, a folder, a file or a hub name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import cast

import msgspec

from llmops_cli.core.artifact import FORMATS, Artifact
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.names import load_object
from llmops_cli.core.progress import Progress
from llmops_cli.runtime.digests import digest_path
from llmops_cli.runtime.files import size_of

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")

MakesModel = Callable[[Progress], Artifact]

BUILT_IN = {"demo": "llmops_cli.train.run:demo_model"}
"""Names that need no folder -> "module:object" of what makes the model on first use."""


def find_model(reference: str, *, progress: Progress) -> Artifact:
    """`demo` (trained on first use), a folder, a .gguf file, or an owner/name of the Hugging Face
    hub.

    Raises: UsageError for a path that is not there or no model.
    """
    if reference in BUILT_IN:
        return cast(MakesModel, load_object(BUILT_IN[reference]))(progress)
    path = Path(reference).expanduser()
    if path.is_file():
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise UsageError(
                    f"{path} is no GGUF file", hint="pass a model folder, a .gguf file or demo"
                )
        return artifact_at(reference, path, "gguf")
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UsageError(
                f"{path} has no config.json",
                hint="pass a Hugging Face model folder, a .gguf file or demo",
            )
        return artifact_at(reference, path, _folder_format(path))
    if HUB_NAME.fullmatch(reference) and path.suffix != ".gguf" and not reference.startswith("."):
        return artifact_at(reference, _download(reference), "hf")
    raise UsageError(
        f"no model at {reference}",
        hint="a folder, a .gguf file, owner/name of the Hugging Face hub, or demo",
    )


def _folder_format(path: Path) -> str:
    """hf, or how the folder's weights are quantized; ct2 for one that CTranslate2's converter
    wrote.
    """
    if (path / "model.bin").is_file() and not (path / "model.safetensors").exists():
        config = (path / "config.json").read_text(errors="replace")
        if '"architectures"' not in config:
            return "ct2"
    try:
        config_fields = msgspec.json.decode((path / "config.json").read_bytes())
        method = config_fields["quantization_config"]["quant_method"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return "hf"
    return str(method) if method in FORMATS else "hf"


def artifact_at(reference: str, path: Path, kind: str, *, digest: str | None = None) -> Artifact:
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
            f"no folder {name}, and hub models need huggingface_hub",
            hint="pip install 'llmops-cli[train]'",
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
