"""What an operator looks at: the state as JSON, for `/ui` and `llmops top`, and the page itself."""

from __future__ import annotations

import time
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import msgspec

from llmops_cli import __version__
from llmops_cli.serve.accounts.budget import Budgets, Spending, month_now
from llmops_cli.serve.accounts.keys import KeyStore
from llmops_cli.serve.door.openapi import document
from llmops_cli.serve.endpoints import OPENAPI, Page
from llmops_cli.serve.snapshot import Snapshot
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.watch.metrics import PREFIX, Metrics

PAGE_HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline';"
        b" connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


class Console:
    """Numbers come from the metrics, so that all workers are in them."""

    def __init__(self, metrics: Metrics, budgets: Budgets, canaries: Canaries) -> None:
        self._metrics = metrics
        self._budgets = budgets
        self._canaries = canaries
        self._began = time.time()
        self._page: bytes | None = None

    def page(self, page: Page) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]]:
        """(body, its type, headers)."""
        if page is OPENAPI:
            return msgspec.json.encode(document()), b"application/json", []
        if self._page is None:
            self._page = files("llmops_cli.serve.watch").joinpath("ui.html").read_bytes()
        return self._page, b"text/html; charset=utf-8", PAGE_HEADERS

    async def state(self, snapshot: Snapshot, store: KeyStore) -> bytes:
        """Everything on one page: counts since the start, of which a reader makes rates."""
        samples = list(self._samples())
        spent = await self._budgets.spent(month_now())
        keys = []
        for key in store.all():
            of = spent.get(key.id, Spending(0.0, 0))
            keys.append(
                {
                    "id": key.id,
                    "name": key.name,
                    "role": key.role,
                    "models": key.models,
                    "expires": key.expires,
                    "revoked": key.revoked,
                    "requests_per_minute": key.requests_per_minute,
                    "tokens_per_minute": key.tokens_per_minute,
                    "budget_dollars": key.budget_dollars,
                    "budget_tokens": key.budget_tokens,
                    "dollars": of.dollars,
                    "tokens": of.tokens,
                    "requests": _sum(samples, "requests_total", key=key.id),
                }
            )
        return msgspec.json.encode(
            {
                "at": time.time(),
                "version": __version__,
                "uptime_s": time.time() - self._began,
                "month": month_now(),
                "requests": _sum(samples, "requests_total"),
                "in_flight": _sum(samples, "in_flight"),
                "queued": _sum(samples, "queued"),
                "models": self._models(snapshot, samples),
                "statuses": _by(samples, "requests_total", "status"),
                "upstreams": self._upstreams(snapshot, samples),
                "keys": keys,
                "guard": _rows(samples, "guard_total", ("side", "action", "rule")),
                "guard_block_rate": _sum(samples, "guard_block_rate"),
                "cache": _by(samples, "cache_total", "result"),
                "refused": _by(samples, "refused_total", "code"),
                "retries": _sum(samples, "retries_total"),
                "fallbacks": _sum(samples, "fallbacks_total"),
                "canaries": {
                    name: self._canary(snapshot, name) for name in self._canaries.states()
                },
                "config_ok": _sum(samples, "config_ok") > 0,
                "audit_lost": _sum(samples, "audit_lost_total"),
            }
        )

    def _samples(self) -> Iterable[Any]:  # Any: the library's samples
        for family in self._metrics.collected().collect():
            yield from family.samples

    def _models(self, snapshot: Snapshot, samples: list[Any]) -> dict[str, Any]:  # Any: JSON
        names = snapshot.router.names() | set(_by(samples, "request_seconds_count", "model"))
        return {
            name: {
                "requests": _sum(samples, "requests_total", model=name),
                "errors": sum(
                    s.value
                    for s in _of(samples, "requests_total", model=name)
                    if s.labels["status"].startswith("5")
                ),
                "input_tokens": _sum(samples, "tokens_total", model=name, direction="input"),
                "output_tokens": _sum(samples, "tokens_total", model=name, direction="output"),
                "dollars": _sum(samples, "cost_dollars_total", model=name),
                "ttft": _buckets(samples, "ttft_seconds", name),
                "tpot": _buckets(samples, "tpot_seconds", name),
                "e2e": _buckets(samples, "request_seconds", name),
            }
            for name in sorted(names)
        }

    def _upstreams(
        self, snapshot: Snapshot, samples: list[Any]
    ) -> list[dict[str, Any]]:  # Any: JSON
        errors = _by(samples, "upstream_errors_total", "upstream")
        answers = _by(samples, "upstream_requests_total", "upstream")
        state = {0.0: "closed", 1.0: "half open", 2.0: "open"}
        return [
            {
                "name": name,
                "url": [each.url for each in group],
                "up": _sum(samples, "upstream_up", upstream=name) > 0,
                "breaker": state.get(_sum(samples, "breaker", upstream=name), "closed"),
                "outstanding": _sum(samples, "outstanding_tokens", upstream=name),
                "answers": answers.get(name, 0),
                "errors": errors.get(name, 0),
            }
            for name, group in snapshot.upstreams.items()
        ]

    def _canary(self, snapshot: Snapshot, name: str) -> dict[str, Any]:  # Any: JSON
        state = self._canaries.states()[name]
        model = snapshot.config.models.get(name)
        return {
            "state": state.state,
            "reason": state.reason,
            "percent": self._canaries.percent(name),
            "since": state.since,
            "steps": model.canary.steps if model and model.canary else [],
            "sides": {
                side: {
                    "requests": found.requests,
                    "errors": found.errors,
                    "ttft_s": found.median_ttft_s(),
                }
                for side, found in state.sides.items()
            },
        }


def _of(
    samples: list[Any], name: str, **labels: str
) -> Iterable[Any]:  # Any: the library's samples
    wanted = PREFIX + name
    return (
        s
        for s in samples
        if s.name == wanted and all(s.labels.get(k) == v for k, v in labels.items())
    )


def _sum(samples: list[Any], name: str, **labels: str) -> float:  # Any: the library's samples
    return float(sum(sample.value for sample in _of(samples, name, **labels)))


def _by(
    samples: list[Any], name: str, label: str
) -> dict[str, float]:  # Any: the library's samples
    found: dict[str, float] = {}
    for sample in _of(samples, name):
        found[sample.labels[label]] = found.get(sample.labels[label], 0.0) + sample.value
    return found


def _rows(
    samples: list[Any], name: str, labels: tuple[str, ...]
) -> list[dict[str, Any]]:  # Any: samples, JSON
    return [
        {**{label: s.labels[label] for label in labels}, "count": s.value}
        for s in _of(samples, name)
    ]


def _buckets(
    samples: list[Any], name: str, model: str
) -> list[tuple[float | str, float]]:  # Any: samples
    """(upper bound in seconds, count up to it), smallest first."""
    found: dict[str, float] = {}
    for sample in _of(samples, f"{name}_bucket", model=model):
        found[sample.labels["le"]] = found.get(sample.labels["le"], 0.0) + sample.value
    return sorted(
        ((le if le == "+Inf" else float(le), n) for le, n in found.items()),
        key=lambda b: float(b[0]),
    )
