"""The gateway's keys and their spending as tables, without what they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from llmops_cli.core.counted import counted
from llmops_cli.serve.accounts.budget import Spending
from llmops_cli.serve.accounts.key import DamagedKey, Key
from llmops_cli.serve.accounts.spend import TagSpending
from llmops_cli.show.tables import Narrowed

PROMPTS = "prompts"
COLUMNS = (
    "name",
    "id",
    "role",
    "models",
    PROMPTS,
    "created",
    "expires",
    "a minute",
    "this month",
    "tags",
    "state",
)
DROPPABLE = ("created", "tags", PROMPTS, "expires", "models", "id", "role")
"""What a narrow terminal can do without, the first first: who, limits, spending and state stay."""
FOLDS = ("models", PROMPTS, "a minute", "this month", "tags")


def keys_table(
    keys: Sequence[Key],
    damaged: Sequence[DamagedKey],
    spent: Mapping[str, Spending],
) -> Narrowed:
    """One line a key; `spent` by key id. Where no key has prompts, there is no such column."""
    columns = [name for name in COLUMNS if name != PROMPTS or any(key.prompts for key in keys)]
    table = Table()
    for column in columns:
        table.add_column(column)
    for key in keys:
        cells = dict(zip(COLUMNS, _cells(key, spent), strict=True))
        table.add_row(*_texts([cells[name] for name in columns]))
    for row in damaged:
        state = "revoked" if row.revoked else "damaged"
        unknown = ["-"] * (len(columns) - 3)
        table.add_row(*_texts([row.name, row.id, *unknown, state]))
    return Narrowed(table, droppable=DROPPABLE, folds=FOLDS)


def key_table(key: Key, spent: Mapping[str, Spending]) -> Table:
    """One key, a line for each of its fields."""
    table = Table(show_header=False)
    for name, value in zip(COLUMNS, _cells(key, spent), strict=True):
        table.add_row(*_texts([name, value]))
    return table


def spend_table(tag: str, rows: Sequence[TagSpending]) -> Table:
    """One line a value of the tag, and their sum."""
    table = Table()
    table.add_column(tag)
    for column in ("keys", "dollars", "tokens"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*_texts(_spend_cells(row, row.value or "(without)")))
    whole = TagSpending(
        "",
        sum(row.keys for row in rows),
        sum(row.dollars for row in rows),
        sum(row.tokens for row in rows),
    )
    table.add_section()
    table.add_row(*_texts(_spend_cells(whole, "all")))
    return table


def _spend_cells(row: TagSpending, name: str) -> list[str]:
    return [
        name,
        str(row.keys),
        _dollars(row.dollars),
        f"{row.tokens:,}",
    ]


def _texts(cells: Sequence[str]) -> Iterator[Text]:
    """Names are text, never markup."""
    return map(Text, cells)


def _cells(key: Key, spent: Mapping[str, Spending]) -> list[str]:
    """In the order of COLUMNS."""
    return [
        key.name,
        key.id,
        key.role,
        ", ".join(key.models) or "all",
        ", ".join(key.prompts) or "all",
        _day(key.created),
        _day(key.expires),
        _limits(key) or "-",
        _month(key, spent.get(key.id, Spending())),
        ", ".join(f"{tag}={value}" for tag, value in key.tags.items()) or "-",
        _state(key),
    ]


def _limits(key: Key) -> str:
    parts = []
    if key.requests_per_minute:
        parts.append(counted(key.requests_per_minute, "request"))
    if key.tokens_per_minute:
        parts.append(counted(key.tokens_per_minute, "token"))
    if key.streams:
        parts.append(f"{key.streams} at once")
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
    return "live" if key.is_live() else "expired"
