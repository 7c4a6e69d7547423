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
            family.samples = []

    def release(self) -> None:
        """One by one: to free a hundred thousand at once takes a while, and nobody is served."""
        for samples in self._by_name.values():
            while samples:
                samples.pop()

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

    def by_two(
        self,
        name: str,
        outer: str,
        inner: str,
        **labels: str,
    ) -> dict[str, dict[str, float]]:
        """Sums by the values of two labels, in one pass."""
        sums = defaultdict[str, defaultdict[str, float]](lambda: defaultdict(float))
        for sample in self.of(name, **labels):
            sums[sample.labels[outer]][sample.labels[inner]] += sample.value
        return {value: dict(inside) for value, inside in sums.items()}

    def buckets_by_model(self, name: str, **labels: str) -> dict[str, list[Bucket]]:
        """Of a histogram, smallest first."""
        found = self.by_two(f"{name}_bucket", "model", "le", **labels)
        return {model: _sorted(counts) for model, counts in found.items()}

    def buckets(self, name: str, model: str) -> list[Bucket]:
        """Of one model."""
        return self.buckets_by_model(name, model=model).get(model, [])


def _sorted(counts: dict[str, float]) -> list[Bucket]:
    return [(_bound(bound), counts[bound]) for bound in sorted(counts, key=float)]


def _bound(bound: str) -> float | str:
    """JSON has no infinity."""
    return bound if bound == "+Inf" else float(bound)
