"""Which quantizers work on this machine, for which methods, and why the others do not."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from llmops_cli.quantize.methods import METHODS, QUANTIZERS, Quantizer
from llmops_cli.runtime.env import EnvStatus
from llmops_cli.runtime.imports import missing_modules


class QuantizerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One library: `methods` work here, `needs_cuda` would on a machine with an NVIDIA GPU.

    `problem` says why its environment cannot run it; None where it can.
    """

    name: str
    environment: str
    methods: list[str]
    needs_cuda: list[str]
    problem: str | None = None


def quantizer_statuses(
    envs: Mapping[str, EnvStatus],
    *,
    has_gpu: bool,
) -> list[QuantizerStatus]:
    """Each quantizer of ours, its library really imported where its environment is there."""
    found = []
    for name, quantizer in QUANTIZERS.items():
        status = _status(name, quantizer, envs[quantizer.environment], has_gpu=has_gpu)
        found.append(status)
    return found


def _status(
    name: str,
    quantizer: Quantizer,
    env: EnvStatus,
    *,
    has_gpu: bool,
) -> QuantizerStatus:
    made = [method for method, entry in METHODS.items() if name in entry.quantizers]
    on_gpu_only = [] if has_gpu else [m for m in made if m in quantizer.needs_cuda]
    return QuantizerStatus(
        name=name,
        environment=env.name,
        methods=[method for method in made if method not in on_gpu_only],
        needs_cuda=on_gpu_only,
        problem=_problem(quantizer, env),
    )


def _problem(quantizer: Quantizer, env: EnvStatus) -> str | None:
    if env.python is None:
        return env.problem
    missing = missing_modules(env.python, (quantizer.module,), variables=quantizer.import_variables)
    if not missing:
        return None
    return f"{env.python} {missing}"
