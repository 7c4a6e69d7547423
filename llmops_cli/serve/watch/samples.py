"""Questions to the metrics' samples: sums, by label, rows, buckets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

from llmops_cli.serve.watch.metrics import PREFIX

Row = dict[str, str | float]
Bucket = tuple[float | str, float]
"""Upper bound in seconds (the last is "+Inf"), and the count up to it."""


class Samples:
    """All that a registry holds at one moment. Names are without the gateway's prefix."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._by_name = defaultdict[str, list[Sample]](list)
        for family in registry.collect():
            for sample in family.samples:
                self._by_name[sample.name].append(sample)

    def of(self, name: str, **labels: str) -> Iterator[Sample]:
        """Those that have all the labels."""
        wanted = labels.items()
        for sample in self._by_name.get(PREFIX + name, ()):
            if wanted <= sample.labels.items():
                yield sample

    def sum(self, name: str, **labels: str) -> float:
        total = 0.0
        for sample in self.of(name, **labels):
            total += sample.value
        return total

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Sums by the values of a label."""
        sums = defaultdict[str, float](float)
        for sample in self.of(name, **labels):
            sums[sample.labels[label]] += sample.value
        return dict(sums)

    def rows(self, name: str, labels: Iterable[str]) -> list[Row]:
        """Each sample's labels, and its count."""
        rows = []
        for sample in self.of(name):
            row: Row = {}
            for label in labels:
                row[label] = sample.labels[label]
            row["count"] = sample.value
            rows.append(row)
        return rows

    def buckets(self, name: str, model: str) -> list[Bucket]:
        """Of a histogram, smallest first."""
        counts = self.by(f"{name}_bucket", "le", model=model)
        buckets = []
        for bound in sorted(counts, key=float):
            bucket = (_bound(bound), counts[bound])
            buckets.append(bucket)
        return buckets


def _bound(bound: str) -> float | str:
    """JSON has no infinity."""
    return bound if bound == "+Inf" else float(bound)
