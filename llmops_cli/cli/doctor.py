"""`llmops doctor`."""

from __future__ import annotations

import sys

import typer


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    as_json: bool = typer.Option(False, "--json", help="Print the facts as JSON on stdout."),
) -> None:
    """What works on this machine, what doesn't, why, and what mends it. Exit code 3 if no engine
    can run.
    """
    from llmops_cli.cli.screen import print_json
    from llmops_cli.core.errors import EnvironmentMissing
    from llmops_cli.engines import engine_names, load_engine
    from llmops_cli.runtime.env import list_envs
    from llmops_cli.runtime.hardware import installed_versions, probe_hardware

    hardware = probe_hardware()
    envs = list_envs()
    by_name = {env.name: env for env in envs}
    needs = {name: load_engine(name).environment for name in engine_names()}
    works = {
        name: env is None or by_name[env].python is not None
        for name, env in needs.items()
        if env in (None, *by_name)
    }
    if as_json:
        print_json(
            {
                "hardware": hardware,
                "versions": installed_versions(),
                "environments": envs,
                "engines": works,
            }
        )
    else:
        gpus = hardware["gpus"]
        names = (
            ", ".join(str(gpu["name"]) for gpu in gpus)
            if isinstance(gpus, list) and gpus
            else "none"
        )
        flags = hardware["cpu_flags"]
        write = sys.stdout.write
        write(f"cpu    {hardware['cpu_model']}, {hardware['cores_logical']} cores usable\n")
        write(f"flags  {' '.join(flags) if isinstance(flags, list) else ''}\n")
        write(f"ram    {float(str(hardware['ram_bytes'])) / 1e9:.1f} GB\n")
        write(f"gpus   {names}\n")
        write(f"os     {hardware['os']}, Python {hardware['python']}\n")
        for name, works_here in works.items():
            env = by_name.get(needs[name] or "")
            if works_here:
                write(f"ok     engine {name}{f': {env.python}' if env else ''}\n")
            elif env is not None:
                made = (
                    f"llmops env create {env.name} (or just use it; downloads about {env.download})"
                )
                write(f"--     engine {name}: {env.problem}\n       {made}\n")
        for env in envs:
            if env.name not in needs.values():
                missing = f"missing; llmops env create {env.name}"
                write(f"{'ok' if env.python else '--'}     {env.name}: {env.python or missing}\n")
    if not any(works[name] for name in works if needs[name] is not None):
        raise EnvironmentMissing("no engine can run here", hint="llmops env create llamacpp")
