"""Which code, configuration and models are served now: digests as labels of gauges that are 1.

One that has changed is told no more, where the library's own series would stay for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from llmops_cli import __version__

MODELS_MOST = 200
"""An upstream may list any number."""


class InfoFamily(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    labels: tuple[str, ...]


class ServedModel(msgspec.Struct, frozen=True, order=True):
    """`model`: what the upstream calls it; empty: the one that it was started with."""

    upstream: str
    model: str
    digest: str


INFOS = {
    "build_info": InfoFamily(text="The code that serves", labels=("version", "build")),
    "config_info": InfoFamily(text="The configuration that is served", labels=("config",)),
    "model_info": InfoFamily(
        text="A model of an upstream that tells its digest",
        labels=("upstream", "model", "digest"),
    ),
}


class InfoBoard(Collector):
    """Of the worker that answers; the others follow it within a second."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._rows: dict[str, list[tuple[str, ...]]] = {}

    def tell(self, *, build: str, config: str, models: Iterable[ServedModel]) -> None:
        found = sorted(set(models))[:MODELS_MOST]
        self._rows = {
            "build_info": [(__version__, build)],
            "config_info": [(config,)],
            "model_info": [msgspec.structs.astuple(each) for each in found],
        }

    def collect(self) -> Iterator[Metric]:
        rows = self._rows
        for name, family in INFOS.items():
            metric = GaugeMetricFamily(self._prefix + name, family.text, labels=family.labels)
            for values in rows.get(name, ()):
                metric.add_metric(values, 1)
            yield metric

    def describe(self) -> Iterable[Metric]:
        """Nothing is collected only to be registered."""
        return ()
