"""Facts about this machine and this checkout, for manifests and `doctor`. Probed, never cached."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import psutil

INTERESTING_FLAGS = (
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx_vnni",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "neon",
    "asimd",
    "asimddp",
    "sve",
    "i8mm",
    "bf16",
)
TOOLKIT_PACKAGES = (
    "llmops-cli",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "msgspec",
    "uvicorn",
    "uvloop",
    "pyarrow",
)
"""What can change a number of any command. Engines and quantizers name their own."""


def probe_hardware() -> dict[str, object]:
    """CPU model, flags and cores, RAM, GPUs (through NVML) and the operating system."""
    model, flags = _cpu()
    return {
        "cpu_model": model,
        "cpu_flags": flags,
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_logical": usable_cores(),
        "ram_bytes": psutil.virtual_memory().total,
        "gpus": probe_gpus(),
        "os": platform.platform(),
        "python": platform.python_version(),
    }


def usable_cores() -> int:
    """Cores this process may use; a container or taskset can make them fewer."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu() -> tuple[str, list[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        processor = platform.processor() or platform.machine()
        return processor, []
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    words = fields.get("flags") or fields.get("Features") or ""
    present = set(words.split())
    name = fields.get("model name") or platform.machine()
    flags = [flag for flag in INTERESTING_FLAGS if flag in present]
    return name, flags


def probe_gpus() -> list[dict[str, object]]:
    """Name, memory, capability and driver of each NVIDIA GPU; empty without driver or library."""
    try:
        import pynvml

        pynvml.nvmlInit()
        driver = pynvml.nvmlSystemGetDriverVersion()
        found: list[dict[str, object]] = []
        for number in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(number)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
            gpu = {
                "name": pynvml.nvmlDeviceGetName(handle),
                "memory_bytes": int(memory.total),
                "capability": major + minor / 10,
                "driver": driver,
            }
            found.append(gpu)
    except Exception:  # noqa: BLE001 - no driver, no library or no rights: all mean "no GPU here"
        return []
    return found


def installed_versions(packages: Sequence[str] = ()) -> dict[str, str]:
    """Versions of the packages that can change a number in a report, in this Python."""
    found = {"python": platform.python_version()}
    for name in (*TOOLKIT_PACKAGES, *packages):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


_ASK_VERSIONS = """
import json, platform, sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""
_ASK_BUILDS = """
import hashlib, json, sys
from importlib import metadata
found = {}
for name in sys.argv[1:]:
    try:
        files = metadata.distribution(name).read_text("RECORD") or ""
    except metadata.PackageNotFoundError:
        continue
    found[name] = hashlib.sha256(files.encode()).hexdigest()
print(json.dumps(found))
"""


def versions_in(python: str, packages: Sequence[str] = ()) -> dict[str, str]:
    """The same, asked of another interpreter; empty if it does not answer.

    The toolkit's own version is this Python's, wherever the engine lives.
    """
    if python == sys.executable:
        return installed_versions(packages)
    found = _asked(python, _ASK_VERSIONS, *TOOLKIT_PACKAGES, *packages)
    if not found:
        return {}
    with suppress(metadata.PackageNotFoundError):
        found["llmops-cli"] = metadata.version("llmops-cli")
    return found


def builds_in(python: str, packages: Sequence[str]) -> dict[str, str]:
    """A digest of what pip installed of each package, which is a list of files with digests.

    A library that was compiled anew, for a GPU or with another BLAS, has the version that it had.
    """
    return _asked(python, _ASK_BUILDS, *packages)


def _asked(python: str, program: str, *names: str) -> dict[str, str]:
    """What a small program says of these packages; empty if the interpreter does not answer."""
    try:
        run = subprocess.run(
            [python, "-c", program, *names],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return dict(json.loads(run.stdout))
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}


def git_state(folder: Path) -> dict[str, object] | None:
    """Commit and dirtiness of the checkout around `folder`; None outside one."""

    def git(*args: str) -> str | None:
        try:
            run = subprocess.run(
                ["git", "-C", str(folder), *args],
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return run.stdout.strip()

    commit = git("rev-parse", "HEAD")
    if commit is None:
        return None
    changes = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": bool(changes)}
