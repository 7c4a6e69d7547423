"""What a user types as MODEL: demo, a name of the catalog, a folder, a file or a hub name."""

from __future__ import annotations

import re
from pathlib import Path

from llmops_cli.core.artifact import FORMATS, Artifact
from llmops_cli.core.errors import EnvironmentMissing, UsageError, close_name
from llmops_cli.core.progress import Progress
from llmops_cli.core.python_json import object_in
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.models.gguf.parts import GgufModel, models_in, require_model
from llmops_cli.models.named import is_named, model_names, named_model
from llmops_cli.models.pickled import as_safetensors, is_pickled
from llmops_cli.models.quantized import refuse_adapter
from llmops_cli.runtime.contents import content_digest
from llmops_cli.runtime.digests import digest_value
from llmops_cli.runtime.files import size_of
from llmops_cli.runtime.near_path import near_path
from llmops_cli.runtime.paths import at_home, is_there

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
CONFIG = "config.json"
MOST_NAMED = 4
NO_QUANTIZER = frozenset({"hf", "gguf", "ct2", "remote"})
"""Formats that no quantization_config tells of: a folder is none of these by its own word."""
HUB_FILES = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]


def find_model(reference: str, *, progress: Progress) -> Artifact:
    """A name of `llmops models list`, a folder, a .gguf file, or an owner/name of the hub.

    Raises: UsageError for a path that is not there or no model.
    """
    if is_named(reference):
        return named_model(reference).make(progress=progress)
    path = at_home(reference)
    if path.is_file():
        return gguf_artifact(reference, require_model(path))
    if path.is_dir():
        return _in_folder(reference, path, progress=progress)
    if _is_hub_name(reference):
        return artifact_at(reference, _download(reference), "hf")
    raise _no_model(reference)


def require_reference(reference: str) -> None:
    """Raises: UsageError where nothing can be found. Nothing is read, loaded or fetched."""
    if not may_be_found(reference):
        raise _no_model(reference)


def _no_model(reference: str) -> UsageError:
    names = ", ".join(model_names())
    otherwise = f"a folder, a .gguf file, owner/name of the Hugging Face hub, or {names}"
    return UsageError(
        f"no model at {reference}",
        hint=close_name(reference, model_names()) or near_path(at_home(reference), otherwise),
    )


def may_be_found(reference: str) -> bool:
    """Whether there is something at the path, or it may be a name. Nothing is read or loaded."""
    path = at_home(reference)
    return is_named(reference) or is_there(path) or _is_hub_name(reference)


def gguf_artifact(reference: str, model: GgufModel) -> Artifact:
    """A GGUF model, all its parts under one digest.

    Its path is not resolved: the hub's links have names by which parts are found, and what they
    point to has none.
    """
    digests = [content_digest(path) for path in model.paths]
    return Artifact(
        reference=reference,
        format="gguf",
        path=str(model.path.absolute()),
        digest=digests[0] if len(digests) == 1 else digest_value(digests),
        size_bytes=model.size_bytes,
    )


def artifact_at(
    reference: str,
    path: Path,
    model_format: str,
) -> Artifact:
    """The model at `path` as it is now."""
    path = path.resolve()
    return Artifact(
        reference=reference,
        format=model_format,
        path=str(path),
        digest=content_digest(path),
        size_bytes=size_of(path),
    )


def _in_folder(
    reference: str,
    folder: Path,
    *,
    progress: Progress,
) -> Artifact:
    """The Hugging Face model, or the only GGUF model of a folder."""
    if (folder / CONFIG).is_file():
        artifact = artifact_at(reference, folder, _folder_format(folder))
        return as_safetensors(artifact, progress=progress) if is_pickled(folder) else artifact
    return gguf_artifact(reference, require_model(only_gguf_in(folder)))


def only_gguf_in(folder: Path) -> Path:
    """The GGUF model of a folder that has no config.json, or its first part.

    Raises: UsageError for a folder with none, or several.
    """
    refuse_adapter(folder)
    found = models_in(folder)
    if len(found) == 1:
        return found[0]
    hint = "pass a Hugging Face model folder, a .gguf file or demo"
    if found:
        names = ", ".join(path.name for path in found[:MOST_NAMED])
        hint = f"pass one of its files: {names}"
    raise UsageError(f"{folder} has no {CONFIG}", hint=hint)


def _folder_format(folder: Path) -> str:
    """hf, or how the folder's weights are quantized; ct2 for what CTranslate2's converter wrote."""
    raw = (folder / CONFIG).read_bytes()
    has_ct2_weights = (folder / "model.bin").is_file()
    has_hf_weights = (folder / "model.safetensors").exists()
    if has_ct2_weights and not has_hf_weights and b'"architectures"' not in raw:
        return "ct2"
    try:
        method = object_in(raw)["quantization_config"]["quant_method"]
    except (*UNREADABLE, KeyError, TypeError):
        return "hf"
    if method in FORMATS and method not in NO_QUANTIZER:
        return str(method)
    return "hf"


def _is_hub_name(reference: str) -> bool:
    if reference.startswith(".") or reference.endswith(".gguf"):
        return False
    return HUB_NAME.fullmatch(reference) is not None


def _download(name: str) -> Path:
    """The hub's local copy if there is one, else a download, since the user named a hub model."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise EnvironmentMissing(
            f"no folder {name}, and hub models need huggingface_hub",
            hint="pip install 'llmops-cli[train]'",
        ) from None
    reason = ""
    for offline in (True, False):
        try:
            found = snapshot_download(name, allow_patterns=HUB_FILES, local_files_only=offline)
        except Exception as error:  # noqa: BLE001 - the hub raises errors of many libraries
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        else:
            return Path(found)
    raise EnvironmentMissing(
        f"no folder {name}, and the hub gave no such model: {reason[:160]}",
        hint="check the name and the network",
    )
