"""What was spent in a month, by a tag of the keys that spent it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from llmops_cli.serve.accounts.budget import Spending
from llmops_cli.serve.accounts.key import Key


class TagSpending(NamedTuple):
    """Of all keys with one value of a tag; `value` is empty for those without the tag."""

    value: str
    keys: int
    dollars: float
    tokens: int


def tag_names(keys: Iterable[Key]) -> list[str]:
    return sorted({tag for key in keys for tag in key.tags})


def spent_by_tag(
    keys: Iterable[Key],
    spent: Mapping[str, Spending],
    tag: str,
) -> list[TagSpending]:
    """The dearest first. `spent` by key id; what no key of today has spent is without a tag."""
    left = dict(spent)
    sums: dict[str, Spending] = {}
    counts: dict[str, int] = {}
    for key in keys:
        value = key.tags.get(tag, "")
        counts[value] = counts.get(value, 0) + 1
        spending = left.pop(key.id, Spending())
        sums[value] = sums.get(value, Spending()).plus(spending)
    for spending in left.values():
        sums[""] = sums.get("", Spending()).plus(spending)
    rows = [
        TagSpending(value, counts.get(value, 0), found.dollars, found.tokens)
        for value, found in sums.items()
    ]
    return sorted(rows, key=lambda row: (-row.dollars, -row.tokens, row.value))
