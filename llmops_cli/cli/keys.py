"""`llmops keys create|list|rotate|revoke`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from llmops_cli.serve.keys import Key, KeyStore

group = typer.Typer(help="API keys of the gateway.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="keys")


@group.command()
def create(
    name: str = typer.Option(..., help="Who uses it."),
    role: str = typer.Option("user", help="user, admin (also metrics), or metrics."),
    models: str = typer.Option(None, help="Only these, with commas.  [default: all]"),
    expires_days: float = typer.Option(None, min=0, help="From now.  [default: never]"),
    requests_per_minute: int = typer.Option(None, min=1, help="More are answered 429."),
    tokens_per_minute: int = typer.Option(None, min=1, help="Prompt and answer together."),
    streams: int = typer.Option(None, min=1, help="Requests at the same time."),
    as_json: bool = typer.Option(False, "--json", help="Print the key on stdout as JSON and nothing else."),
) -> None:
    """A new key. It is shown once: only its digest is kept."""
    import time

    secret, key = _store().create(
        name, role=role, models=[m.strip() for m in models.split(",") if m.strip()] if models else None,
        expires=time.time() + expires_days * 86400 if expires_days is not None else None,
        requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute, streams=streams,
    )  # fmt: skip
    _tell(secret, key, as_json)


@group.command("list")
def list_(as_json: bool = typer.Option(False, "--json", help="Print the keys on stdout as JSON.")) -> None:
    """Every key, without what it is."""
    from rich.table import Table

    from llmops_cli.cli.screen import print_json, print_table

    keys = _store().all()
    if as_json:
        print_json(keys)
        return
    table = Table()
    for column in ("name", "id", "role", "models", "created", "expires", "a minute", "state"):
        table.add_column(column)
    for key in keys:
        limits = [f"{key.requests_per_minute} requests"] * bool(key.requests_per_minute)
        limits += [f"{key.tokens_per_minute} tokens"] * bool(key.tokens_per_minute)
        table.add_row(key.name, key.id, key.role, ", ".join(key.models) or "all", _day(key.created), _day(key.expires),
                      ", ".join(limits) or "-", _state(key))  # fmt: skip
    print_table(table)


@group.command()
def rotate(
    name: str = typer.Argument(..., help="The key's name or id."),
    as_json: bool = typer.Option(False, "--json", help="Print the key on stdout as JSON and nothing else."),
) -> None:
    """A new secret for a key with the same rights. The old one stops within a second."""
    secret, key = _store().rotate(name)
    _tell(secret, key, as_json)


@group.command()
def revoke(name: str = typer.Argument(..., help="The key's name or id.")) -> None:
    """End a key, within a second, on every worker."""
    from llmops_cli.cli.screen import say

    key = _store().revoke(name)
    say(f"{key.name} ({key.id}) is revoked")


def _store() -> KeyStore:
    from llmops_cli.serve.keys import KeyStore
    from llmops_cli.serve.state import state_dir

    return KeyStore(state_dir())


def _tell(secret: str, key: Key, as_json: bool) -> None:
    from llmops_cli.cli.screen import print_json, say

    if as_json:
        print_json({"key": secret, "id": key.id, "name": key.name, "role": key.role})
    else:
        sys.stdout.write(f"{secret}\n")
        say(f"{key.name} ({key.id}), role {key.role}. It is not shown again.")


def _day(moment: float | None) -> str:
    from datetime import UTC, datetime

    return "-" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")


def _state(key: Key) -> str:
    import time

    if key.revoked is not None:
        return "revoked"
    return "expired" if key.expires is not None and key.expires <= time.time() else "live"
