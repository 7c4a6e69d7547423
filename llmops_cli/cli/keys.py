"""`llmops keys create|list|rotate|revoke`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec
import typer

if TYPE_CHECKING:
    from llmops_cli.serve.accounts.budget import Spending
    from llmops_cli.serve.accounts.keys import Key, KeyStore

group = typer.Typer(help="API keys of the gateway.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="keys")


@group.command()
def create(
    name: str = typer.Option(..., help="Who uses it."),
    role: str = typer.Option("user", help="user, admin (also metrics and /ui), or metrics."),
    models: str = typer.Option(None, help="Only these, with commas.  [default: all]"),
    expires_days: float = typer.Option(None, min=0, help="From now.  [default: never]"),
    requests_per_minute: int = typer.Option(None, min=1, help="More are answered 429."),
    tokens_per_minute: int = typer.Option(None, min=1, help="Prompt and answer together."),
    streams: int = typer.Option(None, min=1, help="Requests at the same time."),
    budget_dollars: float = typer.Option(None, min=0, help="A month, at the upstreams' prices."),
    budget_tokens: int = typer.Option(None, min=1, help="A month, prompts and answers together."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the key on stdout as JSON and nothing else."
    ),
) -> None:
    """A new key. It is shown once: only its digest is kept."""
    import time

    from llmops_cli.core.errors import UsageError

    if models is not None and not models.strip(", "):
        raise UsageError("--models names no model", hint="leave it out for all models")
    secret, key = _store().create(
        name,
        role=role,
        models=[m.strip() for m in models.split(",") if m.strip()] if models else None,
        expires=time.time() + expires_days * 86400 if expires_days is not None else None,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        streams=streams,
        budget_dollars=budget_dollars,
        budget_tokens=budget_tokens,
    )
    _tell(secret, key, as_json)


@group.command("list")
def list_(
    as_json: bool = typer.Option(False, "--json", help="Print the keys on stdout as JSON."),
) -> None:
    """Every key, without what it is."""
    from rich.table import Table

    from llmops_cli.cli.screen import print_json, print_table

    keys = _store().all()
    spent = _spent()
    if as_json:
        print_json(
            [
                {
                    **msgspec.to_builtins(key),
                    "dollars": spent[key.id].dollars,
                    "tokens": spent[key.id].tokens,
                }
                for key in keys
            ]
        )
        return
    table = Table()
    for column in (
        "name",
        "id",
        "role",
        "models",
        "created",
        "expires",
        "a minute",
        "this month",
        "state",
    ):
        table.add_column(column)
    for key in keys:
        limits = [f"{key.requests_per_minute} requests"] * bool(key.requests_per_minute)
        limits += [f"{key.tokens_per_minute} tokens"] * bool(key.tokens_per_minute)
        table.add_row(
            key.name,
            key.id,
            key.role,
            ", ".join(key.models) or "all",
            _day(key.created),
            _day(key.expires),
            ", ".join(limits) or "-",
            _month(key, spent[key.id]),
            _state(key),
        )
    print_table(table)


@group.command()
def rotate(
    name: str = typer.Argument(..., help="The key's name or id."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the key on stdout as JSON and nothing else."
    ),
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
    from llmops_cli.serve.accounts.keys import KeyStore
    from llmops_cli.serve.state import state_dir

    return KeyStore(state_dir())


def _spent() -> dict[str, Spending]:
    """Of this month, by key id; nothing for those that asked nothing.

    Of a gateway with Redis, see /ui or `top`.
    """
    import asyncio
    from collections import defaultdict

    from llmops_cli.serve.accounts.budget import Spending, month_now
    from llmops_cli.serve.accounts.local_budgets import LocalBudgets
    from llmops_cli.serve.state import state_dir

    return defaultdict(
        lambda: Spending(0.0, 0), asyncio.run(LocalBudgets(state_dir()).spent(month_now()))
    )


def _month(key: Key, spent: Spending) -> str:
    """What was spent, and of how much."""
    shown = [
        _dollars(spent.dollars)
        + (f" of {_dollars(key.budget_dollars)}" if key.budget_dollars is not None else "")
    ]
    shown += [
        f"{spent.tokens:,}"
        + (f" of {key.budget_tokens:,}" if key.budget_tokens else "")
        + " tokens"
    ]
    return (
        ", ".join(shown)
        if spent.tokens or key.budget_tokens or key.budget_dollars is not None
        else "-"
    )


def _dollars(amount: float) -> str:
    return f"${amount:.2f}" if amount >= 1 or not amount else f"${amount:.4g}"


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
