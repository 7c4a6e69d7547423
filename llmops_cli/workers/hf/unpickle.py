"""A folder with pickled weights -> the same with safetensors; or only what tensors there are.

One tensor is in memory at a time where the file can be mapped.
"""

import json
import shutil
import struct
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from _shared.protocol import Events, JobError, Json, peak_rss_bytes, run_worker
from hf.pickles import check_whole, shards_of, tensors_in

DTYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
OTHER_WEIGHTS = (
    "*.bin",
    "*.bin.index.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "*.pt",
    "*.pth",
    "*.pkl",
    "*.ckpt",
    "*.h5",
    "*.msgpack",
    "*.onnx",
    "*.gguf",
    ".*",
)
"""What is left behind: nothing that could be run goes along."""


def work(job: Json, events: Events) -> Json:
    start_s = time.process_time()
    folder = Path(job["model"])
    shards = shards_of(folder)
    if job.get("output") is None:
        return {"tensors": _listed(folder, shards)}
    output = Path(job["output"])
    shutil.copytree(folder, output, ignore=_left_behind, ignore_dangling_symlinks=True)
    places: dict[str, str] = {}
    values = 0
    tensor_bytes = 0
    for number, shard in enumerate(shards, 1):
        events.progress("reading pickled weights", number - 1, len(shards), unit="files")
        tensors = dict(tensors_in(shard))
        name = _file_name(number, len(shards))
        _write(output / name, tensors)
        places.update(dict.fromkeys(tensors, name))
        values += sum(tensor.numel() for tensor in tensors.values())
        tensor_bytes += sum(map(_size_bytes, tensors.values()))
    check_whole(folder, set(places))
    _write_index(output, places, tensor_bytes)
    events.progress("reading pickled weights", len(shards), len(shards), unit="files")
    return {
        "parameters": max(values, 1),
        "tensor_bytes": tensor_bytes,
        "cpu_s": time.process_time() - start_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def _left_behind(place: str, names: list[str]) -> set[str]:
    """Weights and hidden files, and what is no file: a pipe would be waited for."""
    others = shutil.ignore_patterns(*OTHER_WEIGHTS)(place, names)
    odd = {name for name in names if _is_odd(Path(place, name))}
    return {*others, *odd}


def _is_odd(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def _listed(folder: Path, shards: list[Path]) -> list[list[Any]]:
    """Name, type, shape and bytes of each tensor."""
    found = []
    for shard in shards:
        for name, tensor in tensors_in(shard):
            found.append([name, _dtype_name(tensor), list(tensor.shape), _size_bytes(tensor)])
    check_whole(folder, {str(entry[0]) for entry in found})
    return found


def _file_name(number: int, count: int) -> str:
    if count == 1:
        return "model.safetensors"
    return f"model-{number:05d}-of-{count:05d}.safetensors"


def _write_index(output: Path, places: dict[str, str], tensor_bytes: int) -> None:
    if len(set(places.values())) < 2:
        return
    index = {"metadata": {"total_size": tensor_bytes}, "weight_map": places}
    (output / "model.safetensors.index.json").write_text(json.dumps(index))


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for name, tensor in tensors.items():
        end = begin + _size_bytes(tensor)
        entries[name] = {
            "dtype": _dtype_name(tensor),
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
        begin = end
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)))
        file.write(header)
        for tensor in tensors.values():
            flat = tensor.detach().contiguous().reshape(-1)
            flat.view(torch.uint8).numpy().tofile(file)


def _size_bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _dtype_name(tensor: Tensor) -> str:
    name = DTYPE_NAMES.get(tensor.dtype)
    if name is None:
        raise JobError("UsageError", f"weights of type {tensor.dtype} are not read")
    return name


if __name__ == "__main__":
    run_worker(work)
