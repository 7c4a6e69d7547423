"""`llmops keys create|list|rotate|revoke`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec
import typer

if TYPE_CHECKING:
    from llmops_cli.serve.accounts.budget import Spending
    from llmops_cli.serve.accounts.keys import Key, KeyStore

DAY_S = 86_400

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

    expires = None
    if expires_days is not None:
        expires = time.time() + expires_days * DAY_S
    secret, key = _store().create(
        name,
        role=role,
        models=_names(models),
        expires=expires,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        streams=streams,
        budget_dollars=budget_dollars,
        budget_tokens=budget_tokens,
    )
    _tell(secret, key, as_json)


def _names(models: str | None) -> list[str] | None:
    """Raises: UsageError for a list without a name."""
    from llmops_cli.core.errors import UsageError

    if models is None:
        return None
    named = [model.strip() for model in models.split(",")]
    allowed = [model for model in named if model]
    if not allowed:
        raise UsageError("--models names no model", hint="leave it out for all models")
    return allowed


@group.command("list")
def list_(
    as_json: bool = typer.Option(False, "--json", help="Print the keys on stdout as JSON."),
) -> None:
    """Every key, without what it is."""
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.serve.accounts.budget import Spending
    from llmops_cli.serve.accounts.show import keys_table

    keys = _store().all()
    spent = _spent()
    if not as_json:
        print_table(keys_table(keys, spent))
        return
    rows = []
    for key in keys:
        used = spent.get(key.id, Spending())
        spending = {"dollars": used.dollars, "tokens": used.tokens}
        rows.append(msgspec.to_builtins(key) | spending)
    print_json(rows)


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

    from llmops_cli.serve.accounts.budget import month_now
    from llmops_cli.serve.accounts.local_budgets import LocalBudgets
    from llmops_cli.serve.state import state_dir

    budgets = LocalBudgets(state_dir())
    asked = budgets.spent(month_now())
    return dict(asyncio.run(asked))


def _tell(
    secret: str,
    key: Key,
    as_json: bool,
) -> None:
    from llmops_cli.cli.screen import print_json, say

    if as_json:
        shown = {
            "key": secret,
            "id": key.id,
            "name": key.name,
            "role": key.role,
        }
        print_json(shown)
    else:
        sys.stdout.write(f"{secret}\n")
        say(f"{key.name} ({key.id}), role {key.role}. It is not shown again.")
