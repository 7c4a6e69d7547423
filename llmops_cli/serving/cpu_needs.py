"""What an engine's kernels ask of the CPU, where they run on one."""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.python_json import object_in
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.engines import EngineFacts
from llmops_cli.models.weight_format import weight_format
from llmops_cli.runtime.hardware import probe_hardware

X86 = "avx"
"""Told by every x86 CPU that an engine runs on; other makers' have kernels of their own."""


class _Config(msgspec.Struct, frozen=True):
    quantization_config: dict[str, object] = {}


def require_cpu(backend: str, facts: EngineFacts, artifact: Artifact) -> None:
    """Raises: EnvironmentMissing for an engine that would start and die of its first request."""
    if not facts.cpu_needs or artifact.path is None:
        return
    scheme = _scheme(Path(artifact.path))
    needed = [need for need in facts.cpu_needs if need.scheme == scheme]
    if not needed:
        return
    hardware = probe_hardware()
    flags = hardware["cpu_flags"]
    if hardware["gpus"] or not isinstance(flags, list) or X86 not in flags:
        return
    for need in needed:
        if need.flag not in flags:
            raise EnvironmentMissing(
                f"{backend} has no kernel for {scheme} weights on a CPU without {need.flag}",
                hint=f"--backend {need.instead}, a GPU, or another CPU",
            )


def _scheme(folder: Path) -> str | None:
    try:
        config = msgspec.convert(object_in((folder / "config.json").read_bytes()), _Config)
    except (OSError, *UNREADABLE):  # what is wrong with it, its loading tells
        return None
    return weight_format(config.quantization_config).scheme
