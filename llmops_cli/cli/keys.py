"""`llmops keys create|list|show|update|spend|rotate|revoke`."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import typer

from llmops_cli.cli.values import CommandLine

if TYPE_CHECKING:
    from llmops_cli.serve.accounts.budget import Spending
    from llmops_cli.serve.accounts.keys import Key, KeyStore

DAY_S = 86_400
NAMED = "The key's name or id."
CONFIG = "The gateway's file: a budget in dollars is refused where a model has no price."
CONFIG_VARIABLE = "LLMOPS_SERVE_CONFIG"
NO_PRICES = (
    "warning: a budget in dollars counts where upstreams have a price; others are answered 403:"
    " --config gateway.yaml says which"
)

group = CommandLine(help="API keys of the gateway.")


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="keys")


@group.command()
def create(
    name: str = typer.Option(..., help="Who uses it."),
    role: str = typer.Option("user", help="user, admin (also metrics and /ui), or metrics."),
    models: str = typer.Option(None, help="Only these, with commas.  [default: all]"),
    prompts: str = typer.Option(
        None, help="Only by these prompts of the gateway's, with commas.  [default: all, or none]"
    ),
    expires_days: float = typer.Option(None, min=0, help="From now.  [default: never]"),
    requests_per_minute: int = typer.Option(None, min=1, help="More are answered 429."),
    tokens_per_minute: int = typer.Option(None, min=1, help="Prompt and answer together."),
    streams: int = typer.Option(None, min=1, help="Requests at the same time."),
    budget_dollars: float = typer.Option(None, min=0, help="A month, at the upstreams' prices."),
    budget_tokens: int = typer.Option(None, min=1, help="A month, prompts and answers together."),
    tag: list[str] = typer.Option([], help="team=search. May be repeated."),
    config: str = typer.Option(None, envvar=CONFIG_VARIABLE, help=CONFIG),
    as_json: bool = typer.Option(
        False, "--json", help="Print the key on stdout as JSON and nothing else."
    ),
) -> None:
    """A new key. It is shown once: only its digest is kept."""
    _require_file(config)
    _warn_of_models(name, _names(models) or [], config)
    if budget_dollars is not None:
        asked = _as_asked(name, _names(models) or [], budget_dollars)
        _check_prices(asked, config)
    from llmops_cli.core.errors import EnvironmentMissing

    store = _store()
    secret, key = store.create(
        name,
        role=role,
        models=_names(models),
        prompts=_names(prompts, "prompt"),
        expires=_moment(expires_days),
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        streams=streams,
        budget_dollars=budget_dollars,
        budget_tokens=budget_tokens,
        tags=_tags(tag),
    )
    try:
        _tell(secret, key, as_json)
        sys.stdout.flush()
    except OSError as error:
        store.revoke(name)
        raise EnvironmentMissing(
            f"the key could not be shown, so {name} is revoked: {error.strerror}",
            hint="where the output can be written, the same command makes another",
        ) from error


def _require_file(config: str | None) -> None:
    """Raises: UsageError for a path without a file, whatever is in it."""
    from pathlib import Path

    from llmops_cli.runtime.recipes import gateway_path

    if config is not None:
        gateway_path(Path(config))


def _warn_of_models(name: str, models: list[str], config: str | None) -> None:
    """Of those that the gateway's file does not have, should it be one just now."""
    from pathlib import Path

    from llmops_cli.cli.screen import say
    from llmops_cli.core.errors import LlmopsError
    from llmops_cli.gateway_file.read import load_config
    from llmops_cli.runtime.recipes import gateway_path
    from llmops_cli.serve.warnings import unknown_models

    if config is None or not models:
        return
    try:
        found = load_config(gateway_path(Path(config)))
    except LlmopsError:
        return
    for warning in unknown_models(found, [_as_asked(name, models, None)]):
        say(f"warning: {warning}", level="warning")


def _as_asked(
    name: str,
    models: list[str],
    budget_dollars: float | None,
) -> Key:
    from llmops_cli.serve.accounts.key import Key

    return Key(
        id="", name=name, role="user", models=models, created=0.0, budget_dollars=budget_dollars
    )


def _check_prices(key: Key, config: str | None) -> None:
    """Raises: UsageError for a file that is none, or a model without a price in it."""
    from pathlib import Path

    from llmops_cli.cli.screen import say
    from llmops_cli.runtime.recipes import gateway_path
    from llmops_cli.serve.priced import refuse_unpriced

    if config is None:
        say(NO_PRICES)
    else:
        refuse_unpriced(gateway_path(Path(config)), [key])


@group.command()
def update(
    name: str = typer.Argument(..., help=NAMED),
    role: str = typer.Option(None, help="user, admin, or metrics."),
    models: str = typer.Option(None, help="Only these from now on, with commas."),
    add_model: list[str] = typer.Option([], help="This one too. May be repeated."),
    remove_model: list[str] = typer.Option([], help="This one no more. May be repeated."),
    prompts: str = typer.Option(
        None, help="Only by these prompts of the gateway's from now on, with commas."
    ),
    expires_days: float = typer.Option(None, min=0, help="From now."),
    requests_per_minute: int = typer.Option(None, min=1, help="More are answered 429."),
    tokens_per_minute: int = typer.Option(None, min=1, help="Prompt and answer together."),
    streams: int = typer.Option(None, min=1, help="Requests at the same time."),
    budget_dollars: float = typer.Option(None, min=0, help="A month, at the upstreams' prices."),
    budget_tokens: int = typer.Option(None, min=1, help="A month, prompts and answers together."),
    tag: list[str] = typer.Option([], help="team=search: set it. May be repeated."),
    remove_tag: list[str] = typer.Option([], help="Its name. May be repeated."),
    config: str = typer.Option(None, envvar=CONFIG_VARIABLE, help=CONFIG),
    clear: list[str] = typer.Option(
        [],
        help="models or prompts (all again), expires, tags, or a limit or budget by its flag's"
        " name. May be repeated.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the key on stdout as JSON."),
) -> None:
    """Other rights, limits or tags for a key that stays as it is. They hold within a second."""
    from llmops_cli.serve.accounts.key_changes import KeyChanges

    fields = {
        "role": role,
        "models": _names(models),
        "prompts": _names(prompts, "prompt"),
        "expires": _moment(expires_days),
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "streams": streams,
        "budget_dollars": budget_dollars,
        "budget_tokens": budget_tokens,
    }
    changes = KeyChanges(
        fields={field: value for field, value in fields.items() if value is not None},
        clear=tuple(clear),
        add_models=tuple(add_model),
        remove_models=tuple(remove_model),
        add_tags=_tags(tag),
        remove_tags=tuple(remove_tag),
    )
    store = _store()
    wanted = changes.applied_to(store.named(name))
    _warn_of_models(wanted.name, [*(_names(models) or []), *add_model], config)
    spends_more = budget_dollars is not None or models is not None or add_model
    if wanted.budget_dollars is not None and spends_more:
        _check_prices(wanted, config)
    _show(store.update(name, changes), as_json)


@group.command()
def show(
    name: str = typer.Argument(..., help=NAMED),
    as_json: bool = typer.Option(False, "--json", help="Print the key on stdout as JSON."),
) -> None:
    """One key, without what it is."""
    _show(_store().named(name), as_json)


@group.command("list")
def list_(
    as_json: bool = typer.Option(False, "--json", help="Print the keys on stdout as JSON."),
) -> None:
    """Every key, without what it is."""
    from llmops_cli.cli.screen import print_json, print_table, say
    from llmops_cli.serve.accounts.show import keys_table

    store = _store()
    keys = store.all()
    damaged = store.damaged()
    spent = _spent(None)
    for row in damaged:
        if not row.revoked:
            say(f"{row.name} ({row.id}) is damaged: {row.why}; llmops keys revoke {row.id}")
    if as_json:
        rows = [_shown(key, spent) for key in keys]
        print_json(rows + [row._asdict() | {"damaged": True} for row in damaged])
    elif keys or damaged:
        print_table(keys_table(keys, damaged, spent))
    else:
        say("there is no key yet: llmops keys create --name N")


@group.command()
def spend(
    by: str = typer.Option(..., help="A tag's name."),
    month: str = typer.Option(None, help="2026-11 (UTC).  [default: this one]"),
    as_json: bool = typer.Option(False, "--json", help="Print the rows on stdout as JSON."),
) -> None:
    """What a month has cost, by a tag of the keys."""
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.core.errors import UsageError, unknown_name
    from llmops_cli.serve.accounts.show import spend_table
    from llmops_cli.serve.accounts.spend import spent_by_tag, tag_names

    asked = _month(month)
    keys = _store().all()
    tags = tag_names(keys)
    if not tags:
        raise UsageError("no key has a tag", hint="llmops keys update NAME --tag team=search")
    if by not in tags:
        raise unknown_name("tag", by, tags)
    rows = spent_by_tag(keys, _spent(asked), by)
    if as_json:
        print_json([row._asdict() for row in rows])
    else:
        print_table(spend_table(by, rows))


@group.command()
def rotate(
    name: str = typer.Argument(..., help=NAMED),
    as_json: bool = typer.Option(
        False, "--json", help="Print the key on stdout as JSON and nothing else."
    ),
) -> None:
    """A new secret for a key with the same rights. The old one stops within a second."""
    secret, key = _store().rotate(name)
    _tell(secret, key, as_json)


@group.command()
def revoke(name: str = typer.Argument(..., help=NAMED)) -> None:
    """End a key, within a second, on every worker."""
    from llmops_cli.cli.screen import say

    key = _store().revoke(name)
    say(f"{key.name} ({key.id}) is revoked")


def _names(listed: str | None, kind: str = "model") -> list[str] | None:
    """Raises: UsageError for a list without a name."""
    from llmops_cli.core.errors import UsageError

    if listed is None:
        return None
    names = [name.strip() for name in listed.split(",")]
    allowed = [name for name in names if name]
    if not allowed:
        raise UsageError(f"--{kind}s names no {kind}", hint=f"leave it out for all {kind}s")
    return allowed


def _moment(days_from_now: float | None) -> float | None:
    import time

    if days_from_now is None:
        return None
    return time.time() + days_from_now * DAY_S


def _tags(pairs: list[str]) -> dict[str, str]:
    """Raises: UsageError."""
    from llmops_cli.core.errors import UsageError

    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise UsageError(f"--tag {pair} is no NAME=VALUE", hint="--tag team=search")
        found[name.strip()] = value.strip()
    return found


def _month(text: str | None) -> str | None:
    """Raises: UsageError for what is no month."""
    from llmops_cli.core.errors import UsageError

    if text is None or re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text):
        return text
    raise UsageError(f"--month {text} is no month", hint="--month 2026-11")


def _store() -> KeyStore:
    from llmops_cli.serve.accounts.keys import KeyStore
    from llmops_cli.serve.state import state_dir

    return KeyStore(state_dir())


def _spent(month: str | None) -> dict[str, Spending]:
    """Of a month, by key id; nothing for those that asked nothing.

    Of a gateway with Redis, see /ui or `top`.
    """
    import asyncio

    from llmops_cli.serve.accounts.budget import month_now
    from llmops_cli.serve.accounts.local_budgets import LocalBudgets
    from llmops_cli.serve.state import state_dir

    budgets = LocalBudgets(state_dir())
    asked = budgets.spent(month or month_now())
    return dict(asyncio.run(asked))


def _shown(
    key: Key,
    spent: dict[str, Spending],
) -> dict[str, Any]:  # Any: JSON
    from llmops_cli.serve.accounts.budget import Spending

    used = spent.get(key.id, Spending())
    fields: dict[str, Any] = msgspec.to_builtins(key)  # Any: JSON
    return fields | {"dollars": used.dollars, "tokens": used.tokens}


def _show(key: Key, as_json: bool) -> None:
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.serve.accounts.show import key_table

    spent = _spent(None)
    if as_json:
        print_json(_shown(key, spent))
    else:
        print_table(key_table(key, spent))


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
