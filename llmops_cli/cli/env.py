"""`llmops env`."""

from __future__ import annotations

import sys

import typer

from llmops_cli.cli.values import CommandLine

group = CommandLine(
    help="Isolated Python environments, one per engine.",
)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="env")


@group.command("list")
def list_() -> None:
    """Every environment and what provides it now."""
    from llmops_cli.runtime.env import list_envs

    for row in list_envs():
        size = f"  (downloads about {row.download})" if row.download else ""
        place = row.python or f"llmops env create {row.name}{size}"
        sys.stdout.write(f"{row.name:12} {row.origin:8} {place}\n")


@group.command()
def create(name: str = typer.Argument(help="A name from `llmops env list`.")) -> None:
    """Make the virtual environment from recipes/envs/NAME.txt, or mend it.

    Done by itself when an engine needs it.
    """
    from llmops_cli.cli.screen import TerminalProgress
    from llmops_cli.runtime.env import create_env

    with TerminalProgress() as progress:
        env = create_env(name, progress=progress)
    sys.stdout.write(f"{env.python}\n")


@group.command()
def remove(name: str = typer.Argument(help="A name from `llmops env list`.")) -> None:
    """Delete the virtual environment that `create` made."""
    from llmops_cli.runtime.venvs import remove_env

    place, size_bytes = remove_env(name)
    size_mb = size_bytes / 1e6
    sys.stdout.write(f"removed {place} ({size_mb:,.0f} MB)\n")


@group.command()
def show(name: str = typer.Argument(help="A name from `llmops env list`.")) -> None:
    """The interpreter of an environment and the versions that count."""
    from llmops_cli.engines import packages_of
    from llmops_cli.runtime.env import find_env
    from llmops_cli.runtime.hardware import versions_in

    env = find_env(name, anew=True)
    sys.stdout.write(f"{env.name} ({env.origin}): {env.python}\n")
    versions = versions_in(env.python, packages_of(name))
    for package in sorted(versions):
        sys.stdout.write(f"  {package} {versions[package]}\n")
