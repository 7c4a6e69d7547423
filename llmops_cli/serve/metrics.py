"""What Prometheus reads: requests, times, tokens, refusals, the guard's and the upstream's troubles."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

TIMES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """One registry for a gateway. Keys are named by their id, never by what they are."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._children: dict[tuple[Any, tuple[str, ...]], Any] = {}

        def counter(name: str, text: str, labels: tuple[str, ...]) -> Counter:
            return Counter(f"llmops_gateway_{name}", text, labels, registry=registry)

        self._requests = counter(
            "requests", "Requests by route, model, key and status", ("route", "model", "key", "status")
        )
        self._tokens = counter("tokens", "Tokens by direction", ("model", "key", "direction"))
        self._guard = counter("guard", "Decisions of the guard", ("side", "action"))
        self._refused = counter("refused", "Requests refused by a limit", ("key", "limit"))
        self._upstream = counter("upstream_errors", "Failures of the upstream", ("kind",))
        self._first = Histogram(
            "llmops_gateway_first_byte_seconds",
            "To the answer's first byte",
            ("model",),
            buckets=TIMES,
            registry=registry,
        )
        self._total = Histogram(
            "llmops_gateway_request_seconds", "Of the whole request", ("model",), buckets=TIMES, registry=registry
        )
        self.in_flight = Gauge("llmops_gateway_in_flight", "Requests under way", registry=registry)

    def done(
        self, *, route: str, model: str, key: str, status: int, input_tokens: int, output_tokens: int,
        first_s: float, total_s: float,
    ) -> None:  # fmt: skip
        self._child(self._requests, route, model, key, str(status)).inc()
        if input_tokens:
            self._child(self._tokens, model, key, "input").inc(input_tokens)
        if output_tokens:
            self._child(self._tokens, model, key, "output").inc(output_tokens)
        if first_s:
            self._child(self._first, model).observe(first_s)
        self._child(self._total, model).observe(total_s)

    def _child(self, metric: Any, *labels: str) -> Any:  # Any: the library's counters and histograms alike
        """The metric with these labels; looked up once, since that takes longer than counting."""
        found = self._children.get((metric, labels))
        if found is None:
            found = self._children[(metric, labels)] = metric.labels(*labels)
        return found

    def refused(self, key: str, limit: str) -> None:
        self._refused.labels(key, limit).inc()

    def guarded(self, side: str, action: str) -> None:
        self._guard.labels(side, action).inc()

    def upstream_failed(self, kind: str) -> None:
        self._upstream.labels(kind).inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)
