"""GGUF -> smaller GGUF with llama.cpp's own quantizer, through its Python bindings."""

import ctypes
import os
import re
import time
from pathlib import Path
from typing import Any

import gguf
import llama_cpp

from _shared.protocol import Events, JobError, Json, peak_rss_bytes, run_worker
from llamacpp.imatrix import ImatrixArray, Importance, importance_of, lacking_notice
from llamacpp.log import LogCapture

PROGRESS = re.compile(r"^\[\s*(\d+)/\s*(\d+)\]")
FALLBACKS = re.compile(r"(\d+) of \d+ tensor\(s\) required fallback")
FLOATS = frozenset({"F32", "F16", "BF16", "F64"})
FULL_DISK_BYTES = 1 << 20
"""With less free space than this, a failure is that of the disk."""


class QuantizerLog:
    """What llama.cpp says while it quantizes: its progress, and types that it could not use."""

    def __init__(self, scheme: str, events: Events) -> None:
        self._stage = f"quantizing {scheme}"
        self._events = events
        self.fallbacks = 0
        self.capture = LogCapture(self._on_line)

    def _on_line(self, line: str) -> None:
        match = PROGRESS.match(line)
        if match is not None:
            done = int(match[1])
            total = int(match[2])
            self._events.progress(self._stage, done, total, unit="tensors")
        counted = FALLBACKS.search(line)
        if counted is not None:
            self.fallbacks = int(counted[1])


def file_type_of(scheme: str) -> int:
    number = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{scheme}", None)
    if number is None:
        message = f"this llama.cpp knows no type {scheme}"
        raise JobError("UsageError", message, "upgrade llama-cpp-python")
    return int(number)


class TensorTypes:
    """A C array of types by the names of tensors, ended by one without; must outlive its use."""

    def __init__(self, types: dict[str, str]) -> None:
        room = len(types) + 1  # the last stays empty: it is the end
        self._array = (llama_cpp.llama_model_tensor_override * room)()
        for slot, name in zip(self._array, types, strict=False):
            whole = f"^{re.escape(name)}$"
            slot.pattern = whole.encode()
            slot.type = gguf.GGMLQuantizationType[types[name]]

    def pointer(self) -> Any:  # Any: ctypes has no type for it
        pointer = ctypes.POINTER(llama_cpp.llama_model_tensor_override)
        return ctypes.cast(self._array, pointer)


def quantize(job: Json, log: QuantizerLog, importance: Importance | None = None) -> None:
    """Writes job["output"]. Raises: JobError with llama.cpp's last words."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = file_type_of(job["scheme"])
    params.nthread = job["threads"]
    params.pure = job.get("pure", False)
    params.allow_requantize = job.get("requantizes", False)
    output = job["output"]
    types = TensorTypes(job.get("tensor_types", {}))
    params.tt_overrides = types.pointer()
    imatrix = None
    if importance is not None:
        imatrix = ImatrixArray(importance)
        params.imatrix = imatrix.pointer()
    model_file = job["model"].encode()
    output_file = output.encode()
    options = ctypes.byref(params)
    status = llama_cpp.llama_model_quantize(model_file, output_file, options)
    del imatrix, types  # they had to live until here
    if status != 0:
        last_words = log.capture.last()
        raise failure(job["scheme"], Path(output), last_words)


def failure(
    scheme: str,
    output: Path,
    problems: str,
) -> JobError:
    if free_bytes(output.parent) < FULL_DISK_BYTES:
        message = f"no space left writing {output}"
        return JobError("EnvironmentMissing", message, "free some space, or choose another -o")
    hint = None
    if "imatrix" in problems:
        hint = "this type needs an importance matrix: --imatrix auto"
    return JobError("EngineFailed", f"llama.cpp could not quantize to {scheme}: {problems}", hint)


def free_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def work(job: Json, events: Events) -> Json:
    start_s = time.process_time()
    log = QuantizerLog(job["scheme"], events)
    importance = importance_of(job)
    quantize(job, log, importance)
    reader = gguf.GGUFReader(job["output"])
    parameters = 0
    tensor_bytes = 0
    quantized = []
    for tensor in reader.tensors:
        parameters += int(tensor.n_elements)
        tensor_bytes += int(tensor.n_bytes)
        if tensor.tensor_type.name not in FLOATS:
            quantized.append(str(tensor.name))
    notice = None if importance is None else lacking_notice(importance, quantized)
    return {
        "parameters": parameters,
        "tensor_bytes": tensor_bytes,
        "fallback_tensors": log.fallbacks,
        "notices": [] if notice is None else [notice.as_json()],
        "cpu_s": time.process_time() - start_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }


if __name__ == "__main__":
    run_worker(work)
