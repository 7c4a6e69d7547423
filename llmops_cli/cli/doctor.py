"""`llmops doctor`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from llmops_cli.quantize.ready import QuantizerStatus
    from llmops_cli.runtime.env import EnvStatus


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    as_json: bool = typer.Option(False, "--json", help="Print the facts as JSON on stdout."),
) -> None:
    """What works on this machine, what doesn't, why, and what mends it.

    Exit code 3 if no engine can run.
    """
    from llmops_cli.cli.screen import print_json, say
    from llmops_cli.core.errors import EnvironmentMissing
    from llmops_cli.engines import load_engines
    from llmops_cli.quantize.ready import quantizer_statuses
    from llmops_cli.runtime.env import list_envs
    from llmops_cli.runtime.hardware import installed_versions, probe_hardware

    hardware = probe_hardware()
    if not as_json:
        _write(_machine_lines(hardware))
        _write(_gpu_lines(hardware))
        sys.stdout.flush()
    say("importing what each environment has, which takes a while on a busy machine")
    envs = {env.name: env for env in list_envs(anew=True)}
    loaded, broken = load_engines()
    needs = {name: engine.facts.environment for name, engine in loaded.items()}
    works = _working(needs, envs)
    quantizers = quantizer_statuses(envs, has_gpu=bool(hardware["gpus"]))
    if as_json:
        facts = {
            "hardware": hardware,
            "gpu_features": _features(hardware),
            "versions": installed_versions(),
            "environments": list(envs.values()),
            "engines": works,
            "quantizers": quantizers,
        }
        print_json(facts)
    else:
        _write(_engine_lines(works, needs, envs))
        _write(_quantizer_lines(quantizers))
        _write(f"--     {reason}" for reason in broken.values())
    ready = [name for name, is_working in works.items() if is_working and needs[name]]
    if not ready:
        raise EnvironmentMissing("no engine can run here", hint="llmops env create llamacpp")


def _write(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")


def _working(
    needs: dict[str, str | None],
    envs: dict[str, EnvStatus],
) -> dict[str, bool]:
    """Engine -> whether it can run, for those whose environment is known."""
    works = {}
    for name, need in needs.items():
        if need is None:
            works[name] = True
        elif need in envs:
            works[name] = envs[need].python is not None
    return works


def _machine_lines(hardware: dict[str, Any]) -> Iterator[str]:  # Any: facts of many kinds
    names = [str(gpu["name"]) for gpu in hardware["gpus"]]
    gpus = ", ".join(names) or "none"
    flags = " ".join(hardware["cpu_flags"])
    ram_gb = hardware["ram_bytes"] / 1e9
    yield f"cpu    {hardware['cpu_model']}, {hardware['cores_logical']} cores usable"
    yield f"flags  {flags}"
    yield f"ram    {ram_gb:.1f} GB"
    yield f"gpus   {gpus}"
    yield f"os     {hardware['os']}, Python {hardware['python']}"


def _features(hardware: dict[str, Any]) -> dict[str, list[str]]:  # Any: facts of many kinds
    """Kind of card -> what of it can be used."""
    from llmops_cli.sizing.gpu_features import features_on

    found = {}
    for gpu in hardware["gpus"]:
        found[str(gpu["name"])] = [each.name for each in features_on(gpu["capability"])]
    return found


def _gpu_lines(hardware: dict[str, Any]) -> Iterator[str]:  # Any: facts of many kinds
    """Formats and attention of each kind of card, by its compute capability."""
    from llmops_cli.sizing.gpu_features import features_not_on, features_on

    capabilities = {str(gpu["name"]): gpu["capability"] for gpu in hardware["gpus"]}
    for name, capability in capabilities.items():
        able = ", ".join(each.name for each in features_on(capability)) or "none of these"
        yield f"       {name}, compute capability {capability:g}: {able}"
        for each in features_not_on(capability):
            yield f"       no {each.name}: {each.without}"


def _engine_lines(
    works: dict[str, bool],
    needs: dict[str, str | None],
    envs: dict[str, EnvStatus],
) -> Iterator[str]:
    for name, is_working in works.items():
        env = envs.get(needs[name] or "")
        if is_working:
            place = f": {env.python}" if env else ""
            yield f"ok     engine {name}{place}"
        elif env is not None:
            size = f"; downloads about {env.download}" if env.download else ""
            yield f"--     engine {name}: {env.problem}"
            yield f"       llmops env create {env.name} (or just use it{size})"
    for env in envs.values():
        if env.name in needs.values():
            continue
        if env.python:
            yield f"ok     {env.name}: {env.python}"
        else:
            yield f"--     {env.name}: {env.problem}; llmops env create {env.name}"


def _quantizer_lines(quantizers: Iterable[QuantizerStatus]) -> Iterator[str]:
    for status in quantizers:
        if status.problem is not None:
            yield f"--     quantizer {status.name}: {status.problem}"
            yield f"       llmops env create {status.environment}"
            continue
        able = ", ".join(status.methods)
        line = f"ok     quantizer {status.name}: {able}"
        if status.needs_cuda:
            unable = ", ".join(status.needs_cuda)
            line += f"; not {unable}, which it makes on an NVIDIA GPU only"
        yield line
