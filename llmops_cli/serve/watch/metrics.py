"""What Prometheus reads: of one process, or of all workers of a gateway.

Dead workers are included: their counts stay.
"""

from __future__ import annotations

import os
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.multiprocess import MultiProcessCollector

from llmops_cli.core.rating import Rating
from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.context import Ended, RequestContext
from llmops_cli.serve.watch.exposition import text_of
from llmops_cli.serve.watch.families import COUNTERS, GAUGES, HISTOGRAMS
from llmops_cli.serve.watch.info_board import InfoBoard
from llmops_cli.serve.watch.labels import (
    BoundedValues,
    class_label,
    failure_label,
    route_label,
    status_label,
)
from llmops_cli.serve.watch.machine_board import MachineBoard
from llmops_cli.serve.watch.member_board import MemberBoard

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The library's name for the folder where workers keep their counts; read when it is imported."""
PREFIX = "llmops_gateway_"
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
CHILDREN_MOST = 50_000

Labelled = tuple[str, tuple[str, ...]]
"""A metric's name, and values of its labels."""


class Metrics:
    """Keys are named by their id, never by what they are.

    Latencies are by model; counts by model and key. `tags`: of keys, by which dollars are counted.
    `under_way`: requests of this worker, told when somebody reads, and to other workers by `tell`.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # workers have none either
        self._registry = CollectorRegistry()
        self._families: dict[str, Any] = {}  # Any: the library's counters, histograms and gauges
        self._children: dict[Labelled, Any] = {}
        self._shapes: dict[tuple[str, str, str, int], Any] = {}
        self._define()
        self._values = BoundedValues()
        self.tags: list[str] = []
        self.audit_lost: Counter = self._families["audit_lost"]
        self.keys_unsearched: Counter = self._families["keys_unsearched"]
        self.under_way = 0
        self._in_flight: Gauge = self._families["in_flight"]
        self.queued: Gauge = self._families["queued"]
        self.judging: Gauge = self._families["judging"]
        self.tasks: Gauge = self._families["tasks"]
        self.redis_up: Gauge = self._families["redis_up"]
        self.block_rate: Gauge = self._families["guard_block_rate"]
        self.config_ok: Gauge = self._families["config_ok"]
        self.config_ok.set(1)
        self.members = MemberBoard(PREFIX, os.environ.get(SHARED))
        self._registry.register(self.members)
        self.info = InfoBoard(PREFIX)
        self._registry.register(self.info)
        root = os.getppid() if SHARED in os.environ else None
        self._machine = MachineBoard(PREFIX, root=root)
        self._registry.register(self._machine)

    def _define(self) -> None:
        registry = self._registry
        found = self._families
        for name, counter in COUNTERS.items():
            found[name] = Counter(PREFIX + name, *counter, registry=registry)
        for name, histogram in HISTOGRAMS.items():
            found[name] = Histogram(
                PREFIX + name,
                histogram.text,
                histogram.labels,
                buckets=histogram.buckets_s,
                registry=registry,
            )
        for name, gauge in GAUGES.items():
            found[name] = Gauge(
                PREFIX + name,
                gauge.text,
                gauge.labels,
                registry=registry,
                multiprocess_mode=gauge.merging,
            )

    def _child(self, name: str, *labels: str) -> Any:  # Any: as above
        """The metric with these labels; looked up once, since that takes longer than counting."""
        key = (name, labels)
        found = self._children.get(key)
        if found is None:
            if len(self._children) > CHILDREN_MOST:
                self._children.clear()
            found = self._families[name].labels(*labels)
            self._children[key] = found
        return found

    # A request that has ended.

    def done(self, context: RequestContext, total_s: float) -> None:
        status = context.observed.status
        key = context.asked.key_id
        model = context.decided.alias
        route = route_label(context.asked.route, status)
        self._requests(route, model, key, status).inc()
        if context.observed.ended is Ended.BROKEN and status < 500:
            self._child("broken_answers", model).inc()
        if key:
            self._child("request_seconds_by_key", key).inc(total_s)
        if model:
            self._count_use(context, model, key)
            self._observe_times(context, model, total_s)

    def _requests(
        self,
        route: str,
        model: str,
        key: str,
        status: int,
    ) -> Any:  # Any: as above
        """The counter of such requests; their labels are made once."""
        shape = (route, model, key, status)
        found = self._shapes.get(shape)
        if found is None:
            if len(self._shapes) > CHILDREN_MOST:
                self._shapes.clear()
            found = self._child("requests", route, model, key, status_label(status))
            self._shapes[shape] = found
        return found

    def _count_use(
        self,
        context: RequestContext,
        model: str,
        key: str,
    ) -> None:
        observed = context.observed
        usage = observed.usage
        if usage.input_tokens:
            self._child("tokens", model, key, "input").inc(usage.input_tokens)
        if usage.output_tokens:
            self._child("tokens", model, key, "output").inc(usage.output_tokens)
        for part, tokens in usage.parts():
            if tokens:
                self._child("token_parts", model, key, part).inc(tokens)
        if observed.dollars:
            self._child("cost_dollars", model, key).inc(observed.dollars)
            self._count_by_tag(context.asked.key, observed.dollars)
        if observed.upstream:
            self._child("upstream_requests", observed.upstream, model, observed.side).inc()
        if observed.cache:
            self._child("cache", model, observed.cache).inc()

    def _count_by_tag(self, key: Key, dollars: float) -> None:
        for tag in self.tags:
            value = key.tags.get(tag, "")
            label = self._values.label(f"tag {tag}", value)
            self._child("cost_dollars_by_tag", tag, label).inc(dollars)

    def _observe_times(
        self,
        context: RequestContext,
        model: str,
        total_s: float,
    ) -> None:
        kind = class_label(context.observed.status)
        self._child("request_seconds", model, kind).observe(total_s)
        first_s = context.observed.first_s
        if not first_s or not context.asked.streams:
            return
        self._child("ttft_seconds", model).observe(first_s)
        later_tokens = context.observed.usage.output_tokens - 1
        if later_tokens > 0:
            tpot_s = (total_s - first_s) / later_tokens
            self._child("tpot_seconds", model).observe(tpot_s)

    # What happens to one under way.

    def refused(self, code: str, key: str) -> None:
        self._child("refused", self._values.label("code", code), key).inc()

    def guarded(
        self,
        side: str,
        action: str,
        rule: str,
    ) -> None:
        self._child("guard", side, action, self._values.label("rule", rule)).inc()

    def saw_key(self, kind: str, direction: str) -> None:
        self._child("keys_seen", kind, direction).inc()

    def stood(self, model: str, stance: str) -> None:
        """A model, to what the guard suspected and let through."""
        self._child("suspicious_answers", model, stance).inc()

    def compressed(self, model: str, *, before: int, after: int) -> None:
        self._child("compression_tokens", model, "before").inc(before)
        self._child("compression_tokens", model, "after").inc(after)

    def rated(self, rating: Rating) -> None:
        prompt = self._values.label("prompt", rating.prompt)
        verdict = "none"
        if rating.score is not None:
            verdict = "good" if rating.score > 0.5 else "bad"
            self._child("feedback_score", rating.model, prompt).inc(rating.score)
        self._child("feedback", rating.model, prompt, verdict).inc()
        for label in rating.labels:
            self._child("feedback_labels", self._values.label("label", label)).inc()

    def upstream_failed(self, upstream: str, failure: Exception | int) -> None:
        """`failure`: what was raised, or the status of the answer."""
        self._child("upstream_errors", upstream, failure_label(failure)).inc()

    def upstream_refused(self, upstream: str, status: int) -> None:
        """It does not take our key, or what we call its model."""
        self._child("upstream_refusals", upstream, status_label(status)).inc()

    def looked_up(self, upstream: str, result: str) -> None:
        self._child("lookups", upstream, result).inc()

    def retried(self, model: str) -> None:
        self._child("retries", model).inc()

    def hedged(self, model: str) -> None:
        self._child("hedges", model).inc()

    def fell_back(self, model: str, to: str) -> None:
        self._child("fallbacks", model, to).inc()

    def shadowed(
        self,
        model: str,
        result: str,
        seconds: float = 0.0,
    ) -> None:
        self._child("shadow", model, result).inc()
        self._child("shadow_seconds", model).inc(seconds)

    # How things are.

    def upstream_state(
        self,
        upstream: str,
        *,
        up: bool,
        refuses: bool,
        breaker: int,
        outstanding: int,
    ) -> None:
        self._child("upstream_up", upstream).set(up)
        self._child("upstream_refuses", upstream).set(refuses)
        self._child("breaker", upstream).set(breaker)
        self._child("outstanding_tokens", upstream).set(outstanding)

    def discovered(self, upstream: str, *, members: int, ok: bool) -> None:
        self._child("members", upstream).set(members)
        self._child("lookup_ok", upstream).set(ok)

    def serves_version(self, read_at: float) -> None:
        """This worker's version of the configuration, by when it was read."""
        self._child("config_version", str(os.getpid())).set(read_at)

    def canary(self, model: str, percent: int) -> None:
        self._child("canary_percent", model).set(percent)

    # For readers.

    def tell(self) -> None:
        """What is counted without the library, which takes its time."""
        self._in_flight.set(self.under_way)

    def collected(self) -> CollectorRegistry:
        """Of all workers."""
        self.tell()
        if SHARED not in os.environ:
            return self._registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        registry.register(self.members)
        registry.register(self.info)
        registry.register(self._machine)
        return registry

    def text(self) -> bytes:
        return text_of(self.collected())
