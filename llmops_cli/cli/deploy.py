"""`llmops deploy render|check|diff|image`, and what is done to a gateway that serves."""

from __future__ import annotations

from pathlib import Path

import typer

from llmops_cli.cli import deploy_live
from llmops_cli.cli.options import Given, recipe_command
from llmops_cli.cli.values import CommandLine
from llmops_cli.core.counted import counted
from llmops_cli.deploy.recipe import RenderRecipe

group = CommandLine(
    help="From gateway.yaml to manifests, images and monitoring; canaries of what runs.",
)


def register(app: typer.Typer) -> None:
    group.command("render")(recipe_command(render, RenderRecipe))
    deploy_live.register(group)
    app.add_typer(group, name="deploy")


def render(
    given: Given,
    *,
    output: Path = typer.Option("deploy", "-o", "--output", help="The folder for the files."),
    force: bool = typer.Option(
        False, "--force", help="Write over files that were changed by hand."
    ),
) -> None:
    """Manifests, or units, of what a gateway's file says, and what watches over it."""
    from llmops_cli.cli.screen import say
    from llmops_cli.cli.settings import resolved
    from llmops_cli.deploy.folder import first_of, write_rendered
    from llmops_cli.deploy.render import render as rendered_files

    found = resolved(RenderRecipe, given, command="deploy", old_names=False)
    rendered = rendered_files(found.recipe)
    done = write_rendered(output, rendered.files, force=force)
    for note in rendered.notes:
        say(f"note: {note}")
    if done.kept:
        say(f"kept, not ours: {first_of(done.kept)}")
    say(
        f"{output}: {counted(len(done.written), 'file')} written, {done.unchanged} as they were, "
        f"{len(done.removed)} removed"
    )


@group.command()
def check(
    folder: Path = typer.Argument(help="What `llmops deploy render` wrote."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the findings on stdout and nothing else."
    ),
) -> None:
    """Our own lint, and every validator that is installed; exit code 5 if they find something."""
    from llmops_cli.cli.screen import print_json, say
    from llmops_cli.core.errors import GateFailed
    from llmops_cli.deploy.check import check_folder

    found = check_folder(folder)
    if as_json:
        print_json(found)
    for each in () if as_json else found.findings:
        say(f"{each.file}: {each.rule}: {each.message}")
    if not found.ok:
        raise GateFailed(f"{folder}: {counted(len(found.findings), 'finding')}")
    say(f"{folder} is fine, say {', '.join(found.ran)}")
    if found.without_schema:
        say(f"nobody here has a schema of: {', '.join(found.without_schema)}")
    if found.missing:
        say(f"not installed here: {', '.join(found.missing)}")


@group.command()
def diff(
    old: Path = typer.Argument(help="A rendered folder."),
    new: Path = typer.Argument(help="Another."),
) -> None:
    """What changes from one rendering to another; exit code 5 if anything does."""
    import sys

    from llmops_cli.core.errors import GateFailed
    from llmops_cli.deploy.difference import differences

    lines = list(differences(old, new))
    for line in lines:
        sys.stdout.write(f"{line}\n")
    if lines:
        raise GateFailed(f"{new} is not as {old}")


@group.command()
def image(
    name: str = typer.Option(..., "--for", help="gateway, llamacpp, vllm or transformers."),
    base: str = typer.Option(None, help="The image below: Debian 12 with Python 3.11."),
    tag: str = typer.Option(None, help="What it is called.  [default: llmops-NAME:VERSION]"),
    wheels: Path = typer.Option(
        None, help="A folder with every wheel it needs; then no index is asked."
    ),
    output: Path = typer.Option(None, "-o", "--output", help="The folder to build in."),
    emit: bool = typer.Option(False, "--emit", help="Write the Containerfile and build nothing."),
) -> None:
    """An image, by buildah, podman or docker; exit code 3 where none of them is."""
    from llmops_cli import __version__
    from llmops_cli.cli.screen import print_json, say
    from llmops_cli.deploy.cluster_names import require_image
    from llmops_cli.deploy.images.build import build, find_builder
    from llmops_cli.deploy.images.containerfile import BASE
    from llmops_cli.deploy.images.context import (
        claimed_context,
        require_image_name,
        write_context,
    )

    called = require_image(tag or f"localhost/llmops-{name}:{__version__}", what="--tag")
    builder = None if emit else find_builder()
    folder = output or Path(f"image-{name}")
    require_image_name(name)
    with claimed_context(folder):
        path = write_context(folder, name, base=base or BASE, wheels=wheels)
        say(f"written: {path}")
        if builder is not None:
            place = folder.resolve()
            log = place.with_name(f"{place.name}.log")
            print_json(build(folder, tag=called, builder=builder, log=log))
