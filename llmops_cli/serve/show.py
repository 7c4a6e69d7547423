"""A running gateway's state as a page of tables, from two looks at /admin/state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from llmops_cli.core.counted import counted
from llmops_cli.show.tables import Narrowed

State = Mapping[str, Any]  # Any: the gateway's JSON
Buckets = list[list[Any]]  # Any: an upper bound in seconds, or "+Inf"; then a count

MOST_KEYS = 10
TAG = "value"
"""The column of a tag's values: a tag itself may be called `tokens`, as another column is."""
MOST_MEMBERS = 16
MODEL_COLUMNS = (
    "requests/s",
    "4xx",
    "errors",
    "tokens in/s",
    "tokens out/s",
    "TTFT p50",
    "TTFT p99",
    "TPOT p50",
    "E2E p99",
    "dollars",
)
MODELS_DROPPABLE = ("tokens in/s", "E2E p99", "TTFT p50", "TPOT p50", "dollars", "4xx")
"""Whether it answers, how much and how long the slowest wait stays."""
UPSTREAMS_DROPPABLE = ("tokens under way", "breaker")
KEYS_DROPPABLE = ("requests since the start", "role")
UPSTREAM_NUMBERS = ("answers/s", "failures", "tokens under way")


def state_page(before: State, now: State) -> Group:
    """What happened between two looks, and how things are."""
    seconds = max(1e-9, now["at"] - before["at"])
    notes = [Text(note) for note in _notes(now)]
    return Group(
        Text(_headline(before, now, seconds)),
        *notes,
        Narrowed(
            _models(before, now, seconds),
            droppable=MODELS_DROPPABLE,
            folds=("model",),
        ),
        Narrowed(
            _upstreams(before, now, seconds),
            droppable=UPSTREAMS_DROPPABLE,
            folds=("upstream", "where"),
        ),
        Narrowed(_keys(now), droppable=KEYS_DROPPABLE, folds=("key",)),
        *[Narrowed(each, folds=(TAG,)) for each in _tags(now)],
    )


def _headline(
    before: State,
    now: State,
    seconds: float,
) -> str:
    rate = (now["requests"] - before["requests"]) / seconds
    hours = now["uptime_s"] / 3600
    parts = [
        f"up {hours:.1f} h",
        f"{rate:.1f} requests/s",
        f"{now['in_flight']:.0f} under way",
        f"{now['queued']:.0f} waiting",
        f"{now['errors']:.0f} errors",
        *_cache(now),
        f"{sum(now.get('refused', {}).values()):.0f} refused",
        f"guard {_blocked(now):.0f} blocked",
    ]
    return "   ".join(parts)


def _cache(now: State) -> list[str]:
    """The share of questions that it answered, once it was asked."""
    counts = now["cache"]
    hits = counts.get("hit", 0) + counts.get("semantic", 0)
    asked = hits + counts.get("miss", 0)
    return [f"cache {hits / asked:.0%}"] if asked else []


def _blocked(now: State) -> float:
    total = 0.0
    for row in now["guard"]:
        if row["action"] == "block":
            total += row["count"]
    return total


def _notes(now: State) -> Iterator[str]:
    if not now["config_ok"]:
        yield "the configuration file was changed and cannot be used"
    versions = set(now["workers"].values())
    if len(versions) > 1:
        yield f"{len(now['workers'])} workers serve {len(versions)} versions of the configuration"
    if now["keys_damaged"]:
        yield f"damaged keys: {now['keys_damaged']} (llmops keys list)"
    if now["audit_lost"]:
        yield f"audit log: {counted(now['audit_lost'], 'line')} lost"
    for name, canary in now["canaries"].items():
        reason = f", {canary['reason']}" if canary["reason"] else ""
        yield f"canary {name}: {canary['state']}, {canary['percent']} %{reason}"


def _models(
    before: State,
    now: State,
    seconds: float,
) -> Table:
    table = Table(title="models", title_justify="left")
    table.add_column("model")
    for name in MODEL_COLUMNS:
        table.add_column(name, justify="right")
    for name, model in now["models"].items():
        new_here = {**model, "ttft": [], "tpot": [], "e2e": []}
        old = before["models"].get(name, new_here)
        table.add_row(escape(name), *_model_cells(old, model, seconds))
    return table


def _model_cells(
    old: State,
    model: State,
    seconds: float,
) -> list[str]:
    def rate(field: str) -> str:
        return f"{(model[field] - old[field]) / seconds:.1f}"

    def quantile(field: str, share: float) -> str:
        return quantile_ms(old[field], model[field], share)

    return [
        rate("requests"),
        f"{model['client_errors']:.0f}",
        f"{model['errors']:.0f}",
        rate("input_tokens"),
        rate("output_tokens"),
        quantile("ttft", 0.5),
        quantile("ttft", 0.99),
        quantile("tpot", 0.5),
        quantile("e2e", 0.99),
        f"{model['dollars']:.4f}",
    ]


def quantile_ms(
    old: Buckets,
    new: Buckets,
    share: float,
) -> str:
    """Where that share of a histogram lies, a straight line through each bucket.

    As /ui has it, and Prometheus. Since the last look, else since the start.
    """
    counts = _since(old, new)
    if not counts or not counts[-1][1]:
        counts = new
    if not counts or not counts[-1][1]:
        return "-"
    wanted = counts[-1][1] * share
    lower_s = 0.0
    below = 0.0
    for bound, count in counts:
        if count >= wanted and count:
            if isinstance(bound, str):  # +Inf
                return f"> {ms_words(lower_s * 1e3)}"
            part = (wanted - below) / (count - below)
            return ms_words((lower_s + (bound - lower_s) * part) * 1e3)
        lower_s = lower_s if isinstance(bound, str) else bound
        below = count
    return "-"


def ms_words(value_ms: float) -> str:
    """With the digits that /ui has."""
    if value_ms >= 1e4:
        return f"{value_ms / 1e3:.1f} s"
    digits = 1 if value_ms < 10 else 0
    return f"{value_ms:.{digits}f} ms"


def _since(old: Buckets, new: Buckets) -> Buckets:
    earlier = {str(bound): count for bound, count in old}
    return [[bound, count - earlier.get(str(bound), 0)] for bound, count in new]


def _upstreams(
    before: State,
    now: State,
    seconds: float,
) -> Table:
    table = Table(title="upstreams", title_justify="left")
    for name in ("upstream", "state", "breaker", *UPSTREAM_NUMBERS, "where"):
        is_number = name in UPSTREAM_NUMBERS
        table.add_column(name, justify="right" if is_number else "left")
    answered = {row["name"]: row["answers"] for row in before["upstreams"]}
    for row in now["upstreams"]:
        fresh = row["answers"] - answered.get(row["name"], 0)
        table.add_row(
            row["name"],
            _upstream_state(row),
            row["breaker"],
            f"{fresh / seconds:.1f}",
            f"{row['errors']:.0f}",
            f"{row['outstanding']:.0f}",
            ", ".join(row["url"]),
        )
        _add_members(table, row, before, seconds)
    return table


def _add_members(
    table: Table,
    row: State,
    before: State,
    seconds: float,
) -> None:
    """A gateway of before tells of none."""
    members = row.get("members", [])
    old = [each for each in before["upstreams"] if each["name"] == row["name"]]
    answered = {
        each["name"]: each["answers"] for each in (old[0].get("members", []) if old else [])
    }
    for member in members[:MOST_MEMBERS]:
        fresh = member["answers"] - answered.get(member["name"], 0)
        table.add_row(
            "",
            "[dim]leaving[/]" if member["leaving"] else _upstream_state(member),
            member["breaker"],
            f"{fresh / seconds:.1f}",
            f"{member['errors']:.0f}",
            f"{member['outstanding']:.0f}",
            escape(member["name"]),
        )
    if len(members) > MOST_MEMBERS:
        table.add_row("", f"and {len(members) - MOST_MEMBERS} more")


def _upstream_state(row: State) -> str:
    if not row["up"]:
        return "[red]down[/]"
    if row.get("refuses"):  # a gateway of before does not tell
        return "[red]refuses us[/]"
    if row["breaker"] == "open":
        return "[yellow]failing[/]"
    return "up"


def _keys(now: State) -> Table:
    """Those that used most tokens."""
    title = f"keys, {now['month']}"
    if now["keys_total"] > MOST_KEYS:
        title = f"{title}: {MOST_KEYS} of {now['keys_total']}"
    table = Table(title=title, title_justify="left")
    for name in ("key", "role"):
        table.add_column(name)
    for name in ("requests since the start", "tokens", "dollars"):
        table.add_column(name, justify="right")
    most_used = sorted(now["keys"], key=lambda key: -key["tokens"])
    for key in most_used[:MOST_KEYS]:
        if key["revoked"] is None:
            table.add_row(*_key_cells(key))
    return table


def _tags(now: State) -> Iterator[Table]:
    """What this month has cost, by each tag of the keys."""
    for tag, rows in now["tags"].items():
        table = Table(title=f"{tag}, {now['month']}", title_justify="left")
        table.add_column(TAG)
        for name in ("keys", "tokens", "dollars"):
            table.add_column(name, justify="right")
        for row in rows[:MOST_KEYS]:
            table.add_row(
                Text(row["value"] or "(without)"),
                str(row["keys"]),
                f"{row['tokens']:,.0f}",
                f"{row['dollars']:.4f}",
            )
        yield table


def _key_cells(key: State) -> list[str]:
    budget = key["budget_dollars"]
    of_budget = "" if budget is None else f" of {budget:.4g}"
    return [
        escape(key["name"]),
        key["role"],
        f"{key['requests']:.0f}",
        f"{key['tokens']:,.0f}",
        f"{key['dollars']:.4f}{of_budget}",
    ]
