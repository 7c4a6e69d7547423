"""The gateway's state as JSON: sums of the metrics' samples, keys with their spending, tags."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from llmops_cli.serve.accounts.budget import Spending
from llmops_cli.serve.accounts.key import Key
from llmops_cli.serve.accounts.spend import spent_by_tag, tag_names
from llmops_cli.serve.snapshot import Snapshot
from llmops_cli.serve.upstreams.breaker import BreakerState
from llmops_cli.serve.upstreams.members import Members
from llmops_cli.serve.watch.labels import VALUES_MOST
from llmops_cli.serve.watch.member_board import MemberState
from llmops_cli.serve.watch.samples import Samples

Json = dict[str, Any]  # Any: what JSON can hold

NO_MODEL = ""
"""Label of requests that never came to a model: for pages, without a key, for no such path."""
ANSWERED = "2xx"
"""The class whose times are latencies: a refusal is quick, and says nothing of an answer."""
TAGS_MOST = 8
NEVER_ASKED: Json = {
    "requests": 0.0,
    "client_errors": 0.0,
    "errors": 0.0,
    "broken": 0.0,
    "input_tokens": 0.0,
    "output_tokens": 0.0,
    "dollars": 0.0,
    "ttft": [],
    "tpot": [],
    "e2e": [],
}
"""A model's row, before anybody has asked for it."""
NEVER_SEEN: Json = {
    "up": False,
    "refuses": False,
    "breaker": BreakerState.CLOSED,
    "outstanding": 0.0,
    "answers": 0,
    "errors": 0,
}
"""An upstream's, before its first check."""
GUARD_LABELS = ("side", "action", "rule")
KEY_FIELDS = (
    "id",
    "name",
    "role",
    "models",
    "expires",
    "revoked",
    "requests_per_minute",
    "tokens_per_minute",
    "budget_dollars",
    "budget_tokens",
    "tags",
)


class KeyPage(NamedTuple):
    """So many keys, those that used most tokens first, from this one on."""

    most: int = 100
    first: int = 0


class Summary(NamedTuple):
    """All that is shown of the metrics, by names of models and upstreams and by ids of keys."""

    totals: Json
    models: dict[str, Json]
    upstreams: dict[str, Json]
    key_requests: dict[str, float]


def summary_of(samples: Samples) -> Summary:
    """The samples are gone afterwards."""
    found = Summary(
        _totals(samples),
        _models(samples),
        _upstreams(samples),
        samples.by("requests_total", "key"),
    )
    samples.release()
    return found


def _totals(samples: Samples) -> Json:
    """Of all workers, since the start."""
    config_ok = samples.sum("config_ok")
    return {
        "requests": samples.sum("requests_total"),
        "in_flight": samples.sum("in_flight"),
        "queued": samples.sum("queued"),
        "statuses": samples.by("requests_total", "status"),
        "broken": samples.sum("broken_answers_total"),
        "guard": samples.rows("guard_total", GUARD_LABELS),
        "guard_block_rate": samples.sum("guard_block_rate"),
        "cache": samples.by("cache_total", "result"),
        "refused": samples.by("refused_total", "code"),
        "retries": samples.sum("retries_total"),
        "fallbacks": samples.sum("fallbacks_total"),
        "config_ok": config_ok > 0,
        "workers": samples.by("config_version", "worker"),
        "audit_lost": samples.sum("audit_lost_total"),
    }


def _models(samples: Samples) -> dict[str, Json]:
    """Those that were asked for."""
    rows = _ModelSamples(samples)
    return {name: rows.row(name) for name in {NO_MODEL, *rows.statuses}}


class _ModelSamples:
    """Grouped once for all models."""

    def __init__(self, samples: Samples) -> None:
        self.statuses = samples.by_two("requests_total", "model", "status")
        self._broken = samples.by("broken_answers_total", "model")
        self._tokens = samples.by_two("tokens_total", "model", "direction")
        self._dollars = samples.by("cost_dollars_total", "model")
        self._ttft = samples.buckets_by_model("ttft_seconds")
        self._tpot = samples.buckets_by_model("tpot_seconds")
        answered = {"class": ANSWERED}
        self._e2e = samples.buckets_by_model("request_seconds", **answered)

    def row(self, name: str) -> Json:
        """`errors`: the server's, and answers that broke off after a good status."""
        statuses = self.statuses.get(name, {})
        tokens = self._tokens.get(name, {})
        return {
            "requests": sum(statuses.values()),
            "client_errors": _of_class(statuses, "4"),
            "errors": _of_class(statuses, "5") + self._broken.get(name, 0.0),
            "broken": self._broken.get(name, 0.0),
            "input_tokens": tokens.get("input", 0.0),
            "output_tokens": tokens.get("output", 0.0),
            "dollars": self._dollars.get(name, 0.0),
            "ttft": self._ttft.get(name, []),
            "tpot": self._tpot.get(name, []),
            "e2e": self._e2e.get(name, []),
        }


def _of_class(statuses: Mapping[str, float], first: str) -> float:
    return sum(count for status, count in statuses.items() if status.startswith(first))


def _upstreams(samples: Samples) -> dict[str, Json]:
    states = list(BreakerState)
    up = samples.by("upstream_up", "upstream")
    refuses = samples.by("upstream_refuses", "upstream")
    breakers = samples.by("breaker", "upstream")
    outstanding = samples.by("outstanding_tokens", "upstream")
    answers = samples.by("upstream_requests_total", "upstream")
    errors = samples.by("upstream_errors_total", "upstream")
    return {
        name: {
            "up": up.get(name, 0) > 0,
            "refuses": refuses.get(name, 0) > 0,
            "breaker": states[int(breakers.get(name, 0))],
            "outstanding": outstanding.get(name, 0.0),
            "answers": answers.get(name, 0),
            "errors": errors.get(name, 0),
        }
        for name in {*up, *answers, *errors}
    }


def models(names: Iterable[str], summary: Summary) -> Json:
    """`models`: those that can be asked for, and those that were; `no_model`: all other requests.

    Together they are all requests, and their errors all errors.
    """
    rows = summary.models
    found = {name: rows.get(name, NEVER_ASKED) for name in sorted({*names, *rows} - {NO_MODEL})}
    rest = rows[NO_MODEL]
    every = [*found.values(), rest]
    return {
        "models": found,
        "no_model": rest,
        "errors": sum(row["errors"] for row in every),
        "client_errors": sum(row["client_errors"] for row in every),
    }


def upstreams(
    snapshot: Snapshot,
    summary: Summary,
    members: Iterable[MemberState],
) -> list[Json]:
    """Those of the file, as they are and have been, and their members, if there are several."""
    theirs = defaultdict[str, list[Json]](list)
    for row in members:
        theirs[row.upstream].append(_member(row))
    return [
        {
            "name": name,
            "url": _addresses(group),
            **summary.upstreams.get(name, NEVER_SEEN),
            "members": theirs[name],
        }
        for name, group in snapshot.upstreams.items()
    ]


def _addresses(group: Members) -> list[str]:
    """Of one that discovers its members, where it looks."""
    discover = group.config.discover
    return [each.url for each in group] if discover is None else [discover.place()]


def _member(row: MemberState) -> Json:
    return {
        "name": row.member,
        "up": row.up,
        "breaker": list(BreakerState)[row.breaker],
        "in_flight": row.in_flight,
        "outstanding": row.outstanding,
        "answers": row.answers,
        "errors": row.failures,
        "leaving": row.leaving,
    }


def keys(
    known: Sequence[Key],
    spent: Mapping[str, Spending],
    summary: Summary,
    page: KeyPage,
) -> Json:
    """A page of keys, how many there are, and what all of them have cost by their tags."""
    nothing = Spending()
    requests = summary.key_requests
    most_used = sorted(known, key=lambda key: (-spent.get(key.id, nothing).tokens, key.name))
    shown = most_used[page.first : page.first + page.most]
    rows = [_key(key, spent.get(key.id, nothing), requests.get(key.id, 0.0)) for key in shown]
    return {
        "keys": rows,
        "keys_from": page.first,
        "keys_total": len(known),
        "tags": _tags(known, spent),
    }


def _key(
    key: Key,
    spending: Spending,
    requests: float,
) -> Json:
    row: Json = {name: getattr(key, name) for name in KEY_FIELDS}
    row["dollars"] = spending.dollars
    row["tokens"] = spending.tokens
    row["requests"] = requests
    return row


def _tags(known: Sequence[Key], spent: Mapping[str, Spending]) -> dict[str, list[Json]]:
    found = {}
    for tag in tag_names(known)[:TAGS_MOST]:
        rows = spent_by_tag(known, spent, tag)
        found[tag] = [row._asdict() for row in rows[:VALUES_MOST]]
    return found
