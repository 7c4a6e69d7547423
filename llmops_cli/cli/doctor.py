"""`llmops doctor`."""

from __future__ import annotations

import sys

import typer


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(as_json: bool = typer.Option(False, "--json", help="Print the facts as JSON on stdout.")) -> None:
    """What this machine has and what each engine is missing. Exit code 3 if no engine can run."""
    from llmops_cli.cli.screen import print_json, say
    from llmops_cli.core.errors import EnvironmentMissing
    from llmops_cli.runtime.env import list_envs
    from llmops_cli.runtime.hardware import installed_versions, probe_hardware

    hardware, envs = probe_hardware(), list_envs()
    if as_json:
        print_json({"hardware": hardware, "versions": installed_versions(), "environments": envs})
    else:
        gpus = hardware["gpus"]
        names = ", ".join(str(gpu["name"]) for gpu in gpus) if isinstance(gpus, list) and gpus else "none"
        flags = hardware["cpu_flags"]
        write = sys.stdout.write
        write(f"cpu    {hardware['cpu_model']}, {hardware['cores_logical']} cores usable\n")
        write(f"flags  {' '.join(flags) if isinstance(flags, list) else ''}\n")
        write(f"ram    {float(str(hardware['ram_bytes'])) / 1e9:.1f} GB\n")
        write(f"gpus   {names}\n")
        write(f"os     {hardware['os']}, Python {hardware['python']}\n")
        for env in envs:
            write(f"env    {env.name}: {env.python or f'missing (llmops env create {env.name})'}\n")
    if not any(env.python for env in envs):
        raise EnvironmentMissing("no engine can run here", hint="llmops env create llamacpp")
    if not as_json and all(env.python for env in envs):
        say("everything that this version needs is here")
