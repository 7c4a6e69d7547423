"""All series as Prometheus reads them, in pieces that let others have the interpreter.

With ten thousand keys there are a hundred thousand series: to write, or to free, all of them at
once would stop everybody for a tenth of a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

SLICE = 500
_HEAD_LINES = 2
"""HELP and TYPE."""


class _Piece(Collector):
    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return [self._metric]


def text_of(registry: CollectorRegistry) -> bytes:
    return b"".join(part for metric in registry.collect() for part in _parts(metric))


def _parts(metric: Metric) -> Iterator[bytes]:
    """Its samples are gone afterwards."""
    samples = deque[Sample](metric.samples)
    metric.samples = _taken(samples)
    yield generate_latest(_Piece(metric))
    while samples:
        metric.samples = _taken(samples)
        lines = generate_latest(_Piece(metric))
        yield lines.split(b"\n", _HEAD_LINES)[_HEAD_LINES]
    metric.samples = []


def _taken(samples: deque[Sample]) -> list[Sample]:
    return [samples.popleft() for _ in range(min(SLICE, len(samples)))]
