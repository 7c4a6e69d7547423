"""What lies in a model folder: safetensors headers, read without any library."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError

KINDS = (
    ("embeddings", ("embed_tokens", "wte", "token_embd", "embeddings")),
    ("lm_head", ("lm_head",)),
    ("router", (".router.", ".gate.", "shared_expert_gate", "ffn_gate_inp")),
    ("experts", (".experts.", "_exps.")),
    ("norms", ("norm",)),
    ("attention", ("attn", "attention")),
    ("mlp", ("mlp", "feed_forward", "ffn")),
)


class Tensor(msgspec.Struct, frozen=True):
    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int


def tensors_of(folder: Path) -> list[Tensor]:
    """Every tensor of the folder's safetensors files. Raises: UsageError for a file that is
    truncated or none.
    """
    found = []
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = set(msgspec.json.decode(index.read_bytes())["weight_map"].values())
        paths = sorted(folder / name for name in names)
    else:
        single = folder / "model.safetensors"
        paths = [single] if single.is_file() else sorted(folder.glob("*.safetensors"))
    for path in paths:
        with path.open("rb") as file:
            head = file.read(8)
            length = struct.unpack("<Q", head)[0] if len(head) == 8 else 1 << 62
            if 8 + length > path.stat().st_size:
                raise UsageError(f"{path} is truncated", hint="download or make it again")
            try:
                header = msgspec.json.decode(file.read(length))
            except msgspec.DecodeError:
                raise UsageError(f"{path} is no safetensors file") from None
        for name, entry in header.items():
            if name != "__metadata__":
                start, stop = entry["data_offsets"]
                found.append(Tensor(name, entry["dtype"], tuple(entry["shape"]), stop - start))
    return found


def weight_bytes(folder: Path) -> int:
    """Bytes of the weights alone: tensors of safetensors files, or the files of other formats."""
    tensors = tensors_of(folder)
    if tensors:
        return sum(tensor.bytes for tensor in tensors)
    return sum(
        path.stat().st_size for kind in ("*.bin", "*.pt", "*.gguf") for path in folder.glob(kind)
    )


def parameters_of(folder: Path) -> int:
    """Parameters of an unquantized folder."""
    return sum(math.prod(tensor.shape) for tensor in tensors_of(folder))


def kind_of(name: str) -> str:
    if name == "output.weight":  # GGUF's name
        return "lm_head"
    return next((kind for kind, words in KINDS if any(word in name for word in words)), "other")
