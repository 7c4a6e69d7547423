"""Prometheus metrics of the server; the scheduler's figures are read when scraped."""

import dataclasses
from collections.abc import Iterator, Mapping

import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from _shared.embedding_queue import EmbeddingQueue
from _shared.engine_board import EngineBoard
from llamacpp.server.generation import Generation
from llamacpp.server.scheduler import Scheduler

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class SchedulerCollector:
    """Reads the scheduler at scrape time, so the hot path updates plain integers."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def collect(self) -> Iterator[Metric]:
        yield from counter_families(msgspec.structs.asdict(self._scheduler.counters))
        load = self._scheduler.load()
        gauges = msgspec.structs.asdict(load)
        for name, value in gauges.items():
            help_text = f"{spoken(name)} now"
            yield GaugeMetricFamily(f"llmops_{name}", help_text, value=value)


class EmbeddingCollector:
    """The same of the queue of texts to embed."""

    def __init__(self, queue: EmbeddingQueue) -> None:
        self._queue = queue

    def collect(self) -> Iterator[Metric]:
        yield from counter_families(dataclasses.asdict(self._queue.counters))


class BoardCollector:
    """What every engine of ours tells, as the library's families."""

    def __init__(self, board: EngineBoard) -> None:
        self._board = board

    def collect(self) -> Iterator[Metric]:
        for family in self._board.families():
            kind = "counter" if family.counts else "gauge"
            metric = Metric(family.name, family.text, kind)
            name = f"{family.name}_total" if family.counts else family.name
            for each in family.samples:
                metric.add_sample(name, dict(each.labels), each.value)
            yield metric


def counter_families(counters: Mapping[str, int]) -> Iterator[Metric]:
    for name, value in counters.items():
        help_text = f"{spoken(name)} since start"
        yield CounterMetricFamily(f"llmops_{name}", help_text, value=value)


def spoken(name: str) -> str:
    return name.replace("_", " ")


class ServerMetrics:
    """Counts requests by path and status, and times first tokens."""

    def __init__(
        self,
        scheduler: Scheduler | None,
        queue: EmbeddingQueue | None,
        *,
        model: str,
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(BoardCollector(EngineBoard(model)))
        if scheduler is not None:
            self._registry.register(SchedulerCollector(scheduler))
        if queue is not None:
            self._registry.register(EmbeddingCollector(queue))
        self._requests = Counter(
            "llmops_requests",
            "HTTP requests",
            ["path", "status"],
            registry=self._registry,
        )
        self._ttft = Histogram(
            "llmops_time_to_first_token_seconds",
            "queue to first token",
            buckets=SECONDS,
            registry=self._registry,
        )

    def count(self, path: str, status: int) -> None:
        known = path if path.startswith("/v1/") else "other"
        counter = self._requests.labels(known, str(status))
        counter.inc()

    def observe(self, generations: list[Generation]) -> None:
        for generation in generations:
            ttft_s = generation.ttft_s
            if ttft_s is not None:
                self._ttft.observe(ttft_s)

    def text(self) -> bytes:
        return generate_latest(self._registry)
