"""Under which key a measurement of a running server is kept."""

from __future__ import annotations

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


def measurement_key(target: PreparedTarget, *asked: object) -> str | None:
    """Of a measurement of an engine that we start, by all that answered.

    That is: model, adapters, options, the engine and its versions, the code of its server, this
    machine, and what was `asked`. None for a server that somebody else runs: nobody knows what
    answers there tomorrow.
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


def _machine() -> dict[str, object]:
    """What makes this machine fast or slow."""
    hardware = probe_hardware()
    return {fact: hardware[fact] for fact in MACHINE_FACTS}
