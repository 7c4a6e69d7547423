"""What a model on disk is: its format, how its weights are kept, and which engines load it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Silent
from llmops_cli.core.spec import JobSpec
from llmops_cli.engines import engines_for
from llmops_cli.models.config import read_config
from llmops_cli.models.find import require_gguf
from llmops_cli.models.provenance import Made, record_beside
from llmops_cli.models.tensors import TensorInfo, kind_of, tensors_of
from llmops_cli.quantize.provenance import IN_FOLDER
from llmops_cli.quantize.report import Inspection, TensorKind
from llmops_cli.quantize.weight_format import weight_format
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.files import size_of
from llmops_cli.runtime.job import Json, run_job

CONVERTED_FOR = ("llamacpp", "ctranslate2")
"""Engines that serve a Hugging Face folder after a conversion of ours."""


def inspect(path: Path) -> Inspection:
    """Raises: UsageError for what is no model, or a broken one."""
    path = path.expanduser()
    if path.is_file():
        return _inspect_gguf(path)
    if path.is_dir():
        return _inspect_folder(path)
    raise UsageError(f"nothing at {path}")


def _inspect_folder(folder: Path) -> Inspection:
    config = read_config(folder)
    quantized = config.get("quantization_config") or {}
    tensors = tensors_of(folder)
    model_format = str(quantized.get("quant_method") or "hf")
    weights = folder / "model.bin"
    if not tensors and weights.is_file():
        model_format = "ct2"
        dtype = str(config.get("quantization") or "?")
        tensors = [TensorInfo(weights.name, dtype, (), weights.stat().st_size)]
    found = weight_format(quantized)
    made = _made(folder / IN_FOLDER) or _made(record_beside(folder))
    architectures = config.get("architectures") or [None]
    return Inspection(
        path=str(folder),
        format=model_format,
        architecture=architectures[0],
        size_bytes=size_of(folder),
        kinds=_kinds(tensors),
        loads_in=_loading(model_format),
        made_from=made.source if made else None,
        made_from_digest=made.source_digest if made else None,
        check=made.check if made else None,
        scheme=found.scheme,
        bits=found.bits,
        group_size=found.group_size,
        symmetric=found.symmetric,
    )


def _inspect_gguf(path: Path) -> Inspection:
    require_gguf(path)
    found = _read_gguf(path)
    tensors = []
    for name, dtype, shape, size_bytes in found["tensors"]:
        tensors.append(TensorInfo(name, dtype, tuple(shape), size_bytes))
    made = _made(record_beside(path))
    return Inspection(
        path=str(path),
        format="gguf",
        architecture=found["architecture"],
        scheme=found["file_type"],
        bits=None,
        group_size=None,
        symmetric=None,
        size_bytes=path.stat().st_size,
        kinds=_kinds(tensors),
        loads_in=engines_for("gguf"),
        made_from=made.source if made else None,
        made_from_digest=made.source_digest if made else None,
        check=made.check if made else None,
    )


def _read_gguf(path: Path) -> Json:
    job = JobSpec(
        name="inspect",
        python=find_env("llamacpp").python,
        program="llamacpp.inspect",
        input={"path": str(path)},
    )
    with TemporaryDirectory(prefix="llmops-") as scratch:
        result = run_job(job, folder=Path(scratch), progress=Silent())
        return result.output


def _made(record: Path) -> Made | None:
    """What the model says it was made from; looking changes nothing, so a broken one stays."""
    try:
        return msgspec.json.decode(record.read_bytes(), type=Made)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _loading(model_format: str) -> list[str]:
    """Engines that take the format as it is, and those that our converters serve."""
    direct = engines_for(model_format)
    if model_format != "hf":
        return direct
    return direct + [name for name in CONVERTED_FOR if name not in direct]


def _kinds(tensors: Sequence[TensorInfo]) -> list[TensorKind]:
    """Tensors by what they are for, the largest kind first."""
    by_kind: dict[str, list[TensorInfo]] = {}
    for tensor in tensors:
        members = by_kind.setdefault(kind_of(tensor.name), [])
        members.append(tensor)
    found = []
    for name, members in by_kind.items():
        types = Counter(tensor.dtype for tensor in members)
        kind = TensorKind(
            kind=name,
            tensors=len(members),
            bytes=sum(tensor.bytes for tensor in members),
            types=dict(types),
        )
        found.append(kind)
    return sorted(found, key=_largest_first)


def _largest_first(kind: TensorKind) -> int:
    return -kind.bytes
