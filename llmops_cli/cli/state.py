"""`llmops state backup|restore|check`."""

from __future__ import annotations

from pathlib import Path

import typer

from llmops_cli.cli.values import CommandLine

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
        f"{output}: {manifest.keys} keys, {manifest.spent_dollars:.4f} dollars and"
        f" {manifest.spent_tokens:,} tokens spent, {len(manifest.files)} files"
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
    say(f"{folder}: {manifest.keys} keys, {manifest.spent_dollars:.4f} dollars spent")


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
        raise GateFailed(f"{place}: {len(found.findings)} findings")
    if not as_json:
        say(f"{place} is fine: {found.keys} keys, {found.audit_lines:,} audit lines")
