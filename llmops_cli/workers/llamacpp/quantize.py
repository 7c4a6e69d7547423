"""GGUF -> smaller GGUF with llama.cpp's own quantizer, through its Python bindings."""

import ctypes
import os
import re
import struct
import time
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import numpy as np

from _shared.protocol import Events, JobError, peak_rss_bytes, run_worker
from llamacpp.library import LogCapture

PROGRESS = re.compile(r"^\[\s*(\d+)/\s*(\d+)\]")


def ftype_of(scheme: str) -> int:
    ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{scheme}", None)
    if ftype is None:
        raise JobError(
            "UsageError", f"this llama.cpp knows no type {scheme}", "upgrade llama-cpp-python"
        )
    return int(ftype)


def read_imatrix(path: Path) -> dict[str, np.ndarray]:
    """Tensor name -> mean squared input per column (flattened over experts), from a GGUF or legacy
    .dat file.
    """
    with path.open("rb") as file:
        is_gguf = file.read(4) == b"GGUF"
    try:
        return read_imatrix_gguf(path) if is_gguf else read_imatrix_dat(path)
    except (ValueError, struct.error, KeyError) as error:
        raise JobError(
            "UsageError",
            f"{path} is no importance matrix: {error}",
            "a file from llmops or llama-imatrix",
        ) from None


def read_imatrix_gguf(path: Path) -> dict[str, np.ndarray]:
    tensors = {t.name: np.array(t.data, np.float32) for t in gguf.GGUFReader(path).tensors}
    names = [n.removesuffix(".in_sum2") for n in tensors if n.endswith(".in_sum2")]
    if not names:
        raise ValueError("no .in_sum2 tensors")
    return {
        n: (tensors[f"{n}.in_sum2"] / np.maximum(tensors[f"{n}.counts"], 1)).ravel() for n in names
    }


def read_imatrix_dat(path: Path) -> dict[str, np.ndarray]:
    entries = {}
    with path.open("rb") as file:
        (count,) = struct.unpack("<i", file.read(4))
        if not 0 < count < 1_000_000:
            raise ValueError("bad entry count")
        for _ in range(count):
            (length,) = struct.unpack("<i", file.read(4))
            name = file.read(length).decode()
            calls, values = struct.unpack("<ii", file.read(8))
            entries[name] = np.frombuffer(file.read(4 * values), np.float32) / max(calls, 1)
    return entries


def imatrix_array(entries: dict[str, np.ndarray]) -> tuple[Any, list[Any]]:
    """A NULL-name-terminated C array, and what must stay alive while it is in use."""
    array = (llama_cpp.llama_model_imatrix_data * (len(entries) + 1))()
    keep: list[Any] = [array]
    for slot, (name, values) in zip(array, entries.items(), strict=False):
        values = np.ascontiguousarray(values, np.float32)
        slot.name = name.encode()
        slot.size = values.size
        slot.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        keep.append(values)
    return ctypes.cast(array, ctypes.POINTER(llama_cpp.llama_model_imatrix_data)), keep


def tensor_stats(path: Path) -> tuple[int, int]:
    """Parameters and tensor bytes of a GGUF file, from its header."""
    tensors = gguf.GGUFReader(path).tensors
    return sum(int(t.n_elements) for t in tensors), sum(int(t.n_bytes) for t in tensors)


def work(job: dict[str, Any], events: Events) -> dict[str, Any]:
    cpu_start = time.process_time()
    scheme = job["scheme"]
    out = Path(job["output"])
    fallbacks = 0

    def on_line(line: str) -> None:
        nonlocal fallbacks
        if match := PROGRESS.match(line):
            events.progress(f"quantizing {scheme}", int(match[1]), int(match[2]), unit="tensors")
        fallbacks += "fallback" in line

    log = LogCapture(on_line)
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = ftype_of(scheme)
    params.nthread = job["threads"]
    keep: list[Any] = []
    if job.get("imatrix"):
        params.imatrix, keep = imatrix_array(read_imatrix(Path(job["imatrix"])))
    status = llama_cpp.llama_model_quantize(
        job["model"].encode(), str(out).encode(), ctypes.byref(params)
    )
    del keep
    if status != 0:
        if os.statvfs(out.parent).f_bavail * os.statvfs(out.parent).f_frsize < 1 << 20:
            raise JobError(
                "EnvironmentMissing",
                f"no space left writing {out}",
                "free some space, or choose another -o",
            )
        hint = (
            "this type needs an importance matrix: --imatrix auto"
            if "imatrix" in log.last()
            else None
        )
        raise JobError(
            "EngineFailed", f"llama.cpp could not quantize to {scheme}: {log.last()}", hint
        )
    parameters, tensor_bytes = tensor_stats(out)
    return {
        "parameters": parameters,
        "tensor_bytes": tensor_bytes,
        "fallback_tensors": fallbacks,
        "cpu_s": time.process_time() - cpu_start,
        "peak_rss_bytes": peak_rss_bytes(),
    }


if __name__ == "__main__":
    run_worker(work)
