"""What a model on disk is: its format, how its weights are kept, and which engines load it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Silent
from llmops_cli.core.spec import JobSpec
from llmops_cli.engines import engines_for
from llmops_cli.quantize.folders import PROVENANCE
from llmops_cli.quantize.provenance import read_provenance
from llmops_cli.quantize.report import Inspection, TensorKind
from llmops_cli.quantize.tensors import Tensor, kind_of, tensors_of
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.files import size_of
from llmops_cli.runtime.job import run_job


def inspect(path: Path) -> Inspection:
    """Raises: UsageError for what is no model, or a broken one."""
    path = path.expanduser()
    if path.is_file():
        return _gguf(path)
    if not path.is_dir():
        raise UsageError(f"nothing at {path}")
    if not (path / "config.json").is_file():
        raise UsageError(f"{path} has no config.json", hint="pass a model folder or a .gguf file")
    try:
        config = msgspec.json.decode((path / "config.json").read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise UsageError(f"{path}/config.json is not JSON: {error}") from None
    tensors = tensors_of(path)
    if not tensors and (path / "model.bin").is_file():
        kind = "ct2"
        tensors = [
            Tensor(
                "model.bin",
                str(config.get("quantization") or "?"),
                (),
                (path / "model.bin").stat().st_size,
            )
        ]
    else:
        quantized = config.get("quantization_config") or {}
        kind = str(quantized.get("quant_method") or "hf")
    made = read_provenance(path / PROVENANCE)
    how = _how(config.get("quantization_config") or {})
    return Inspection(
        path=str(path),
        format=kind,
        architecture=(config.get("architectures") or [None])[0],
        size_bytes=size_of(path),
        kinds=_kinds(tensors),
        loads_in=_loading(kind),
        made_from=made.source if made else None,
        made_from_digest=made.source_digest if made else None,
        **how,
    )


def _loading(kind: str) -> list[str]:
    """Engines that take the format as it is, and those that our converters serve."""
    direct = engines_for(kind)
    return direct + [
        name for name in ("llamacpp", "ctranslate2") if kind == "hf" and name not in direct
    ]


def _how(config: dict[str, Any]) -> dict[str, Any]:
    """Scheme, bits, group and symmetry from any library's quantization_config."""
    groups = config.get("config_groups") or {}
    weights = next((g.get("weights") or {} for g in groups.values() if isinstance(g, dict)), {})
    inputs = next(
        (g.get("input_activations") for g in groups.values() if isinstance(g, dict)), None
    )
    bits = (
        weights.get("num_bits") or config.get("bits") or config.get("w_bit") or config.get("nbits")
    )
    bits = bits or (4 if config.get("load_in_4bit") else 8 if config.get("load_in_8bit") else None)
    group = weights.get("group_size") or config.get("group_size") or config.get("q_group_size")
    symmetric = weights.get("symmetric", config.get("sym"))
    if symmetric is None and "zero_point" in config:
        symmetric = not config["zero_point"]
    scheme = None
    if bits:
        letters = "FP" if weights.get("type") == "float" else "W"
        scheme = f"{letters}{bits}" + (
            f"A{inputs['num_bits']}" if inputs else "A16" if letters == "W" else ""
        )
    if config.get("kv_cache_scheme"):
        scheme = f"{scheme or ''} KV{config['kv_cache_scheme'].get('num_bits')}".strip()
    if config.get("load_in_4bit"):
        scheme = str(config.get("bnb_4bit_quant_type", "")).upper() or scheme
    return {
        "scheme": scheme,
        "bits": bits,
        "group_size": group if isinstance(group, int) and group > 0 else None,
        "symmetric": symmetric,
    }


def _kinds(tensors: list[Tensor]) -> list[TensorKind]:
    by_kind: dict[str, list[Tensor]] = {}
    for tensor in tensors:
        by_kind.setdefault(kind_of(tensor.name), []).append(tensor)
    return [
        TensorKind(
            kind=kind,
            tensors=len(mine),
            bytes=sum(t.bytes for t in mine),
            types=dict(Counter(t.dtype for t in mine)),
        )
        for kind, mine in sorted(by_kind.items(), key=lambda pair: -sum(t.bytes for t in pair[1]))
    ]


def _gguf(path: Path) -> Inspection:
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise UsageError(f"{path} is no GGUF file", hint="pass a model folder or a .gguf file")
    job = JobSpec(
        name="inspect",
        python=find_env("llamacpp").python,
        program="llamacpp.inspect",
        input={"path": str(path)},
    )
    with TemporaryDirectory(prefix="llmops-") as scratch:
        found = run_job(job, folder=Path(scratch), progress=Silent()).output
    made = read_provenance(Path(f"{path}.json"))
    tensors = [
        Tensor(name, dtype, tuple(shape), size) for name, dtype, shape, size in found["tensors"]
    ]
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
    )
