"""`llmops state backup|restore|check`."""

from __future__ import annotations

from pathlib import Path

import typer

from llmops_cli.cli.values import CommandLine
from llmops_cli.core.counted import counted

group = CommandLine(help="The gateway's keys, spending and audit log: saved, put back, checked.")


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="state")


@group.command()
def backup(
    output: Path = typer.Option(..., "-o", "--output", help="The archive, such as state.tar.gz."),
    as_json: bool = typer.Option(False, "--json", help="Print what was saved and nothing else."),
) -> None:
    """The state folder (LLMOPS_STATE_DIR) in one file, while gateways serve from it."""
    from llmops_cli.cli.screen import print_json, say
    from llmops_cli.serve.backup import backup as saved
    from llmops_cli.serve.state import state_dir

    manifest = saved(state_dir(), output)
    if as_json:
        print_json(manifest)
        return
    say(
        f"{output}: {counted(manifest.keys, 'key')}, {manifest.spent_dollars:.4f} dollars and"
        f" {counted(manifest.spent_tokens, 'token')} spent, {counted(len(manifest.files), 'file')}"
    )


@group.command()
def restore(
    archive: Path = typer.Argument(help="What `llmops state backup` wrote."),
) -> None:
    """Puts a backup into a state folder (LLMOPS_STATE_DIR) that has none."""
    from llmops_cli.cli.screen import say
    from llmops_cli.serve.backup import restore as put_back
    from llmops_cli.serve.state import state_dir

    folder = state_dir()
    manifest = put_back(archive, folder)
    say(f"{folder}: {counted(manifest.keys, 'key')}, {manifest.spent_dollars:.4f} dollars spent")


@group.command()
def check(
    place: Path = typer.Argument(None, help="A state folder, or a backup.  [default: the state]"),
    as_json: bool = typer.Option(False, "--json", help="Print the findings and nothing else."),
) -> None:
    """Whether it is whole, and nothing of the audit log was left unpaid; exit code 5 if not."""
    from llmops_cli.cli.screen import print_json, say
    from llmops_cli.core.errors import GateFailed
    from llmops_cli.serve.state import state_dir
    from llmops_cli.serve.state_check import check_state_of

    place = place or state_dir()
    found = check_state_of(place)
    if as_json:
        print_json(found)
    for each in () if as_json else found.findings:
        say(f"{each.file}: {each.rule}: {each.message}")
    if not found.ok:
        raise GateFailed(f"{place}: {counted(len(found.findings), 'finding')}")
    if not as_json:
        lines = counted(found.audit_lines, "audit line")
        say(f"{place} is fine: {counted(found.keys, 'key')}, {lines}")
