"""What a model on disk is: its format, how its weights are kept, and which engines load it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from llmops_cli.core.errors import EngineFailed, EnvironmentMissing, UsageError
from llmops_cli.core.progress import Silent
from llmops_cli.core.spec import JobSpec
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.engines import engines_for
from llmops_cli.models.config import architectures_of, read_config
from llmops_cli.models.convert import FLOAT_SCHEMES
from llmops_cli.models.find import CONFIG, only_gguf_in
from llmops_cli.models.gguf.parts import GgufModel, read_gguf
from llmops_cli.models.gguf.type_names import file_type_name, guessed_name
from llmops_cli.models.pickled import is_pickled, pickled_tensors
from llmops_cli.models.provenance import Made, record_beside
from llmops_cli.models.tensors import TensorInfo, kind_of, tensors_of
from llmops_cli.models.weight_count import bits_per_weight
from llmops_cli.models.weight_format import weight_format
from llmops_cli.quantize.provenance import IN_FOLDER
from llmops_cli.quantize.report import Inspection, TensorKind
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.files import size_of
from llmops_cli.runtime.job import run_job
from llmops_cli.runtime.paths import at_home

CONVERTED_FOR = ("llamacpp", "ctranslate2")
"""Engines that serve a Hugging Face folder after a conversion of ours."""
FILE_TYPE_KEY = "general.file_type"
LLAMACPP = "llamacpp"


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """`loads_in`: engines that loaded it just now. `refusal`: why one that tried did not."""

    loads_in: list[str] = []
    refusal: str | None = None


def inspect(path: Path) -> Inspection:
    """Raises: UsageError for what is no model, or a broken one."""
    path = at_home(str(path))
    if path.is_file():
        return _inspect_gguf(path)
    if path.is_dir() and (path / CONFIG).exists():
        return _inspect_folder(path)
    if path.is_dir():
        return _inspect_gguf(only_gguf_in(path))
    raise UsageError(f"nothing at {path}")


def _inspect_folder(folder: Path) -> Inspection:
    config = read_config(folder)
    found_config = config.get("quantization_config")
    quantized = found_config if isinstance(found_config, dict) else {}
    tensors = pickled_tensors(folder) if is_pickled(folder) else tensors_of(folder)
    model_format = str(quantized.get("quant_method") or "hf")
    weights = folder / "model.bin"
    if not tensors and weights.is_file():
        model_format = "ct2"
        dtype = str(config.get("quantization") or "?")
        tensors = [TensorInfo(weights.name, dtype, (), weights.stat().st_size)]
    if not tensors:
        raise UsageError(
            f"{folder} has a {CONFIG} and no weights",
            hint="copy its .safetensors files there, or download it again",
        )
    found = weight_format(quantized)
    made = _made(folder / IN_FOLDER) or _made(record_beside(folder))
    return Inspection(
        path=str(folder),
        format=model_format,
        architecture=next(iter(architectures_of(config)), None),
        size_bytes=size_of(folder),
        kinds=_kinds(tensors),
        bits_per_weight=None if model_format == "ct2" else bits_per_weight(tensors),
        loads_in=[],
        taken_by=_loading(model_format),
        made_from=made.source if made else None,
        made_from_digest=made.source_digest if made else None,
        check=made.check if made else None,
        scheme=found.scheme,
        bits=found.bits,
        group_size=found.group_size,
        symmetric=found.symmetric,
    )


def _inspect_gguf(path: Path) -> Inspection:
    model = read_gguf(path)
    tried = _loaded(model)
    tensors = [
        TensorInfo(tensor.name, tensor.type_name, tensor.shape, tensor.size_bytes)
        for tensor in model.tensors
    ]
    made = _made(record_beside(model.path))
    untried = [name for name in engines_for("gguf") if name not in tried.loads_in]
    if tried.refusal is not None:
        untried.remove(LLAMACPP)
    return Inspection(
        path=str(model.path),
        format="gguf",
        architecture=model.architecture,
        scheme=_gguf_scheme(model),
        bits=None,
        bits_per_weight=round(model.bits_per_weight, 4) or None,
        group_size=None,
        symmetric=None,
        size_bytes=model.size_bytes,
        parts=len(model.parts),
        kinds=_kinds(tensors),
        loads_in=tried.loads_in,
        taken_by=untried,
        does_not_load=tried.refusal,
        made_from=made.source if made else None,
        made_from_digest=made.source_digest if made else None,
        check=made.check if made else None,
    )


def _gguf_scheme(model: GgufModel) -> str:
    """By its file type where its tensors bear that out, else the type that takes the most."""
    number = model.header.keys.get(FILE_TYPE_KEY)
    name = file_type_name(number)
    is_float = name in FLOAT_SCHEMES
    if name is not None and is_float != bool(model.quantized_types):
        return name
    return f"{_largest_type(model)} ({_told_type(number)})"


def _told_type(number: object) -> str:
    if number is None:
        return "its file type is not told"
    guess = guessed_name(number)
    if guess is not None:
        return f"its file type is a guess, {guess}"
    return f"its file type is {file_type_name(number) or number}"


def _largest_type(model: GgufModel) -> str:
    sizes = Counter[str]()
    for tensor in model.tensors:
        sizes[tensor.type_name] += tensor.size_bytes
    found = sizes.most_common(1)
    return f"mostly {found[0][0]}" if found else "nothing"


def _loaded(model: GgufModel) -> Tried:
    """Whether llama.cpp loads it, found by doing so where it is installed."""
    try:
        env = find_env(LLAMACPP)
    except EnvironmentMissing:
        return Tried()
    job = JobSpec(
        name="load",
        python=env.python,
        program="llamacpp.loads",
        input={"path": str(model.path)},
    )
    with TemporaryDirectory(prefix="llmops-") as scratch:
        try:
            run_job(job, folder=Path(scratch), progress=Silent())
        except (EngineFailed, UsageError) as error:
            return Tried(refusal=" ".join(error.message.split()))
    return Tried(loads_in=[LLAMACPP])


def _made(record: Path) -> Made | None:
    """What the model says it was made from; looking changes nothing, so a broken one stays."""
    try:
        return msgspec.json.decode(record.read_bytes(), type=Made)
    except (OSError, *UNREADABLE):
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
