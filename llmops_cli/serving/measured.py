"""Under which key a measurement of a running server is kept."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from llmops_cli import __version__
from llmops_cli.core.spec import ServerSpec
from llmops_cli.runtime.closure import cache_key
from llmops_cli.runtime.hardware import probe_hardware
from llmops_cli.serving.target import PreparedTarget

WORKERS_ARGUMENT = "{workers}"
MACHINE_FACTS = (
    "cpu_model",
    "cores_logical",
    "ram_bytes",
    "gpus",
)
STEERING = (
    "ATEN_",
    "CT2_",
    "CUBLAS_",
    "CUDA_",
    "DNNL_",
    "GGML_",
    "GOMP_",
    "HIP_",
    "KMP_",
    "LD_",
    "LLAMA_",
    "MALLOC_",
    "MKL_",
    "NCCL_",
    "NVIDIA_",
    "OMP_",
    "ONEDNN_",
    "OPENBLAS_",
    "PYTORCH_",
    "ROCR_",
    "TORCH",
    "TRITON_",
    "VLLM_",
)
"""How the variables begin by which a user chooses devices, threads and kernels for a library."""
STEERS_NOTHING = (
    "_API_KEY",
    "_TOKEN",
    "_SECRET",
    "_PASSWORD",
    "_CACHE_DIR",
    "_CACHE_PATH",
    "_CACHE_ROOT",
    "_HOST_IP",
    "LLAMA_CACHE",
    "TORCH_HOME",
)
"""How those of them end that open a door, or say where things are kept and what is where."""


def measurement_key(target: PreparedTarget, *asked: object) -> str | None:
    """Of a measurement of an engine that we start, by all that answered.

    That is: model, adapters, options, engine, its versions and builds, the code of its server,
    how it is started and steered, this machine, and what was `asked`. None for a server that
    somebody else runs: nobody knows what answers there tomorrow.
    """
    if target.is_remote:
        return None
    spec = target.spec(port=0, parallel=0)
    return cache_key(
        __version__,
        target.digests(),
        msgspec.to_builtins(target.options),
        target.target.backend,
        target.versions(),
        target.builds(),
        _started(target, spec),
        _steered(),
        _machine(),
        *asked,
        program=_program(spec),
        env=target.env,
    )


def _program(spec: ServerSpec) -> str | None:
    """Our worker that serves it, if it is one of ours."""
    if WORKERS_ARGUMENT not in spec.argv:
        return None
    place = spec.argv.index(WORKERS_ARGUMENT)
    return spec.argv[place + 1]


def _started(target: PreparedTarget, spec: ServerSpec) -> dict[str, object]:
    """The command without its model, and the files that it names: a user may build them anew."""
    held = {target.artifact.path, *target.artifact.parts.values()}
    words = [word for word in spec.argv if word not in held]
    files = [Path(word) for word in words if os.sep in word]
    contents = [file for file in files if file.is_file()]
    return {"argv": words, "env": dict(spec.env), "files": contents}


def _steered() -> dict[str, str]:
    """What the environment tells the libraries below an engine, which we start with it."""
    return {name: value for name, value in os.environ.items() if _steers(name)}


def _steers(name: str) -> bool:
    return name.startswith(STEERING) and not name.endswith(STEERS_NOTHING)


def _machine() -> dict[str, object]:
    """What makes this machine fast or slow."""
    hardware = probe_hardware()
    return {fact: hardware[fact] for fact in MACHINE_FACTS}
