"""What Prometheus reads: of one process, or of all workers of a gateway, dead ones included, whose
counts stay.
"""

from __future__ import annotations

import os
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from llmops_cli.serve.context import RequestContext

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The library's name for the folder where workers keep their counts; read when it is imported."""
TIMES_S = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
GAPS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5)
PREFIX = "llmops_gateway_"
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_Mode = Literal["livesum", "livemin", "livemax"]


class Metrics:
    """Keys are named by their id, never by what they are. Latencies are by model; counts by model
    and key.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._children: dict[tuple[Any, tuple[str, ...]], Any] = {}

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(PREFIX + name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(PREFIX + name, text, ("model",), buckets=buckets, registry=registry)

        def gauge(name: str, text: str, mode: _Mode, *labels: str) -> Gauge:
            return Gauge(PREFIX + name, text, labels, registry=registry, multiprocess_mode=mode)

        self._requests = counter(
            "requests", "Requests that have ended", "route", "model", "key", "status"
        )
        self._tokens = counter("tokens", "Tokens", "model", "key", "direction")
        self._cost = counter("cost_dollars", "What the answers cost", "model", "key")
        self._busy = counter("request_seconds_by_key", "Time of all requests", "key")
        self._ttft = histogram("ttft_seconds", "To the first byte of a streamed answer", TIMES_S)
        self._tpot = histogram(
            "tpot_seconds", "For each output token after the first, streamed", GAPS_S
        )
        self._total = histogram("request_seconds", "Of the whole request", TIMES_S)
        self._cache = counter("cache", "Looked up in the cache", "model", "result")
        self._guard = counter(
            "guard", "Decisions of the guard other than to allow", "side", "action", "rule"
        )
        self._refused = counter("refused", "Requests refused before an upstream", "code", "key")
        self._upstream = counter("upstream_errors", "Failed attempts", "upstream", "kind")
        self._by_upstream = counter(
            "upstream_requests", "Answers by who gave them", "upstream", "model", "side"
        )
        self._retries = counter("retries", "Second and later attempts", "model")
        self._hedges = counter("hedges", "Second copies of a request that was slow", "model")
        self._fallbacks = counter(
            "fallbacks", "Answers of another model, or old ones", "model", "to"
        )
        self._shadows = counter("shadow", "Copies that nobody saw", "model", "result")
        self._shadow_s = counter("shadow_seconds", "Time of those copies", "model")
        self.audit_lost = counter("audit_lost", "Lines that the audit log could not take")
        self.in_flight = gauge("in_flight", "Requests under way", "livesum")
        self.queued = gauge("queued", "Requests that wait for a place", "livesum")
        self.tasks = gauge("tasks", "Of the event loop", "livesum")
        self.redis_up = gauge("redis_up", "Whether Redis answers", "livemin")
        self._up = gauge("upstream_up", "Whether checks or traffic say so", "livemin", "upstream")
        self._breaker = gauge("breaker", "0 closed, 1 half open, 2 open", "livemax", "upstream")
        self._outstanding = gauge("outstanding_tokens", "Being worked on", "livesum", "upstream")
        self._canary = gauge("canary_percent", "Share of the new side", "livemax", "model")
        self.block_rate = gauge(
            "guard_block_rate", "Share of requests blocked in the last minute", "livemax"
        )
        self.config_ok = gauge("config_ok", "0: the file was changed and cannot be used", "livemin")
        self.config_ok.set(1)

    # -- a request
    # -------------------------------------------------------------------------------------

    def done(self, context: RequestContext, total_s: float) -> None:
        observed = context.observed
        usage = observed.usage
        key = context.asked.key_id
        model = context.decided.alias
        self._child(
            self._requests,
            context.asked.route if observed.status != 404 else "other",
            model,
            key,
            str(observed.status),
        ).inc()
        if key:
            self._child(self._busy, key).inc(total_s)
        if not model:
            return
        if usage.input_tokens:
            self._child(self._tokens, model, key, "input").inc(usage.input_tokens)
        if usage.output_tokens:
            self._child(self._tokens, model, key, "output").inc(usage.output_tokens)
        if observed.dollars:
            self._child(self._cost, model, key).inc(observed.dollars)
        if observed.upstream:
            self._child(self._by_upstream, observed.upstream, model, observed.side).inc()
        if context.asked.streams and observed.first_s:
            self._child(self._ttft, model).observe(observed.first_s)
            if usage.output_tokens > 1:
                self._child(self._tpot, model).observe(
                    (total_s - observed.first_s) / (usage.output_tokens - 1)
                )
        self._child(self._total, model).observe(total_s)
        if observed.cache:
            self._child(self._cache, model, observed.cache).inc()

    def _child(
        self, metric: Any, *labels: str
    ) -> Any:  # Any: the library's counters and histograms alike
        """The metric with these labels; looked up once, since that takes longer than counting."""
        found = self._children.get((metric, labels))
        if found is None:
            if len(self._children) > 50_000:
                self._children.clear()
            found = self._children[(metric, labels)] = metric.labels(*labels)
        return found

    # -- other events
    # ----------------------------------------------------------------------------------

    def refused(self, code: str, key: str) -> None:
        self._child(self._refused, code, key).inc()

    def guarded(self, side: str, action: str, rule: str) -> None:
        self._child(self._guard, side, action, rule).inc()

    def upstream_failed(self, upstream: str, kind: str) -> None:
        self._child(self._upstream, upstream, kind).inc()

    def retried(self, model: str) -> None:
        self._child(self._retries, model).inc()

    def hedged(self, model: str) -> None:
        self._child(self._hedges, model).inc()

    def fell_back(self, model: str, to: str) -> None:
        self._child(self._fallbacks, model, to).inc()

    def shadowed(self, model: str, result: str, seconds: float = 0.0) -> None:
        self._child(self._shadows, model, result).inc()
        self._child(self._shadow_s, model).inc(seconds)

    def upstream_state(self, upstream: str, *, up: bool, breaker: int, outstanding: int) -> None:
        self._child(self._up, upstream).set(up)
        self._child(self._breaker, upstream).set(breaker)
        self._child(self._outstanding, upstream).set(outstanding)

    def canary(self, model: str, percent: int) -> None:
        self._child(self._canary, model).set(percent)

    # -- reading
    # ---------------------------------------------------------------------------------------

    def collected(self) -> CollectorRegistry:
        """Of all workers."""
        if SHARED not in os.environ:
            return self._registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry

    def text(self) -> bytes:
        return generate_latest(self.collected())
