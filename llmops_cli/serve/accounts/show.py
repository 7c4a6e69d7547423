"""The gateway's keys as a table, without what they are."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.table import Table

from llmops_cli.serve.accounts.budget import Spending
from llmops_cli.serve.accounts.keys import Key

COLUMNS = (
    "name",
    "id",
    "role",
    "models",
    "created",
    "expires",
    "a minute",
    "this month",
    "state",
)


def keys_table(keys: Sequence[Key], spent: Mapping[str, Spending]) -> Table:
    """One line a key; `spent` by key id."""
    table = Table()
    for column in COLUMNS:
        table.add_column(column)
    for key in keys:
        table.add_row(
            key.name,
            key.id,
            key.role,
            ", ".join(key.models) or "all",
            _day(key.created),
            _day(key.expires),
            _limits(key) or "-",
            _month(key, spent.get(key.id, Spending())),
            _state(key),
        )
    return table


def _limits(key: Key) -> str:
    parts = []
    if key.requests_per_minute:
        parts.append(f"{key.requests_per_minute} requests")
    if key.tokens_per_minute:
        parts.append(f"{key.tokens_per_minute} tokens")
    return ", ".join(parts)


def _month(key: Key, spent: Spending) -> str:
    """What was spent, and of how much."""
    has_budget = bool(key.budget_tokens) or key.budget_dollars is not None
    if not spent.tokens and not has_budget:
        return "-"
    dollars = _dollars(spent.dollars)
    if key.budget_dollars is not None:
        dollars += f" of {_dollars(key.budget_dollars)}"
    tokens = f"{spent.tokens:,}"
    if key.budget_tokens:
        tokens += f" of {key.budget_tokens:,}"
    return f"{dollars}, {tokens} tokens"


def _dollars(amount: float) -> str:
    if amount >= 1 or not amount:
        return f"${amount:.2f}"
    return f"${amount:.4g}"


def _day(moment: float | None) -> str:
    if moment is None:
        return "-"
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")


def _state(key: Key) -> str:
    if key.revoked is not None:
        return "revoked"
    if key.expires is not None and key.expires <= time.time():
        return "expired"
    return "live"
