"""What an operator looks at: the state as JSON, for `/ui` and `llmops top`, and the page itself."""

from __future__ import annotations

import time
from importlib.resources import files
from typing import Any

import msgspec

from llmops_cli import __version__
from llmops_cli.gateway_file.model import ModelConfig
from llmops_cli.serve.accounts.budget import Budgets, Spending, month_now
from llmops_cli.serve.accounts.keys import Key, KeyStore
from llmops_cli.serve.door.openapi import document
from llmops_cli.serve.endpoints import OPENAPI, Page
from llmops_cli.serve.refusal import Headers
from llmops_cli.serve.snapshot import Snapshot
from llmops_cli.serve.upstreams.breaker import BreakerState
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.upstreams.canary import CanaryState, SideStats
from llmops_cli.serve.watch.metrics import Metrics
from llmops_cli.serve.watch.samples import Samples

Json = dict[str, Any]  # Any: what JSON can hold

CONTENT_POLICY = (
    b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline';"
    b" connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'"
)
PAGE_HEADERS = [
    (b"content-security-policy", CONTENT_POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
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
)
GUARD_LABELS = ("side", "action", "rule")


class Console:
    """Numbers come from the metrics, so that all workers are in them."""

    def __init__(
        self,
        metrics: Metrics,
        budgets: Budgets,
        canaries: Canaries,
    ) -> None:
        self._metrics = metrics
        self._budgets = budgets
        self._canaries = canaries
        self._began = time.time()
        self._page: bytes | None = None

    def page(self, page: Page) -> tuple[bytes, bytes, Headers]:
        """Its body, type and headers."""
        if page is OPENAPI:
            return msgspec.json.encode(document()), b"application/json", []
        if self._page is None:
            self._page = _dashboard()
        return self._page, b"text/html; charset=utf-8", PAGE_HEADERS

    async def state(self, snapshot: Snapshot, store: KeyStore) -> bytes:
        """Everything on one page: counts since the start, of which a reader makes rates."""
        samples = Samples(self._metrics.collected())
        month = month_now()
        spent = await self._budgets.spent(month)
        now = time.time()
        state = {
            "at": now,
            "version": __version__,
            "uptime_s": now - self._began,
            "month": month,
            **_totals(samples),
            "models": _models(snapshot, samples),
            "upstreams": _upstreams(snapshot, samples),
            "keys": _keys(store, spent, samples),
            "canaries": self._all_canaries(snapshot),
        }
        return msgspec.json.encode(state)

    def _all_canaries(self, snapshot: Snapshot) -> Json:
        shown = {}
        for name, state in self._canaries.states().items():
            model = snapshot.config.models.get(name)
            shown[name] = self._canary(name, state, model)
        return shown

    def _canary(
        self,
        name: str,
        state: CanaryState,
        model: ModelConfig | None,
    ) -> Json:
        steps: list[int] = []
        if model is not None and model.canary is not None:
            steps = model.canary.steps
        sides = {}
        for side, stats in state.sides.items():
            sides[side] = _side(stats)
        return {
            "state": state.state,
            "reason": state.reason,
            "percent": self._canaries.percent(name),
            "since": state.since,
            "steps": steps,
            "sides": sides,
        }


def _dashboard() -> bytes:
    """One page without references, so that its policy can forbid everything else."""
    folder = files("llmops_cli.serve.watch").joinpath("ui")
    page = folder.joinpath("page.html").read_text(encoding="utf-8")
    for name, file in (("{style}", "style.css"), ("{script}", "script.js")):
        text = folder.joinpath(file).read_text(encoding="utf-8")
        page = page.replace(name, text)
    return page.encode()


def _side(stats: SideStats) -> Json:
    return {
        "requests": stats.requests,
        "errors": stats.errors,
        "ttft_s": stats.median_ttft_s(),
    }


def _totals(samples: Samples) -> Json:
    return {
        "requests": samples.sum("requests_total"),
        "in_flight": samples.sum("in_flight"),
        "queued": samples.sum("queued"),
        "statuses": samples.by("requests_total", "status"),
        "guard": samples.rows("guard_total", GUARD_LABELS),
        "guard_block_rate": samples.sum("guard_block_rate"),
        "cache": samples.by("cache_total", "result"),
        "refused": samples.by("refused_total", "code"),
        "retries": samples.sum("retries_total"),
        "fallbacks": samples.sum("fallbacks_total"),
        "config_ok": samples.sum("config_ok") > 0,
        "workers": samples.by("config_version", "worker"),
        "audit_lost": samples.sum("audit_lost_total"),
    }


def _models(snapshot: Snapshot, samples: Samples) -> Json:
    """Those that can be asked for, and those that were."""
    names = set(samples.by("request_seconds_count", "model"))
    names |= snapshot.router.names()
    return {name: _model(samples, name) for name in sorted(names)}


def _model(samples: Samples, name: str) -> Json:
    statuses = samples.by("requests_total", "status", model=name)
    tokens = samples.by("tokens_total", "direction", model=name)
    errors = 0.0
    for status, count in statuses.items():
        if status.startswith("5"):
            errors += count
    return {
        "requests": sum(statuses.values()),
        "errors": errors,
        "input_tokens": tokens.get("input", 0.0),
        "output_tokens": tokens.get("output", 0.0),
        "dollars": samples.sum("cost_dollars_total", model=name),
        "ttft": samples.buckets("ttft_seconds", name),
        "tpot": samples.buckets("tpot_seconds", name),
        "e2e": samples.buckets("request_seconds", name),
    }


def _upstreams(snapshot: Snapshot, samples: Samples) -> list[Json]:
    states = list(BreakerState)
    up = samples.by("upstream_up", "upstream")
    breakers = samples.by("breaker", "upstream")
    outstanding = samples.by("outstanding_tokens", "upstream")
    answers = samples.by("upstream_requests_total", "upstream")
    errors = samples.by("upstream_errors_total", "upstream")
    rows = []
    for name, group in snapshot.upstreams.items():
        badness = int(breakers.get(name, 0))
        row = {
            "name": name,
            "url": [each.url for each in group],
            "up": up.get(name, 0) > 0,
            "breaker": states[badness],
            "outstanding": outstanding.get(name, 0.0),
            "answers": answers.get(name, 0),
            "errors": errors.get(name, 0),
        }
        rows.append(row)
    return rows


def _keys(
    store: KeyStore,
    spent: dict[str, Spending],
    samples: Samples,
) -> list[Json]:
    requests = samples.by("requests_total", "key")
    rows = []
    for key in store.all():
        row = _key(key)
        spending = spent.get(key.id, Spending())
        row["dollars"] = spending.dollars
        row["tokens"] = spending.tokens
        row["requests"] = requests.get(key.id, 0.0)
        rows.append(row)
    return rows


def _key(key: Key) -> Json:
    return {name: getattr(key, name) for name in KEY_FIELDS}
