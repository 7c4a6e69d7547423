"""What every engine of ours tells on /metrics beside its load: its build, its model, the machine.

The names are the gateway's without `gateway_`; those of cards stand beside DCGM's there.
Standard library only.
"""

import os
from collections.abc import Iterator
from dataclasses import asdict

from _shared.build import build_digest, model_digest
from _shared.card_readings import CardReadings
from _shared.metric_family import MetricFamily, Sample
from _shared.process_tree import tree_use

PREFIX = "llmops_"
PROCESSES = {
    "processes": "The engine's",
    "resident_bytes": "Memory of all of them (RSS; shared pages count each)",
    "cpu_seconds": "CPU time of all, those that ended included",
    "open_files": "Files and sockets that they have open",
}
COUNTS = frozenset({"cpu_seconds"})
CARDS = {
    "gpu_utilization": "Share of time in which a kernel ran",
    "gpu_memory_used_bytes": "Of the card's memory",
    "gpu_memory_total_bytes": "All that it has",
    "gpu_temperature_celsius": "Of the chip",
    "gpu_power_watts": "That it draws",
}


class EngineBoard:
    """Read when somebody asks. `model`: its name."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._cards = CardReadings()

    def families(self) -> Iterator[MetricFamily]:
        yield self._info("build_info", "The code that serves", {"build": build_digest()})
        model = {"model": self._model, "digest": model_digest()}
        yield self._info("model_info", "What is served; its digest, if that was told", model)
        yield from _of_processes()
        yield from self._of_cards()

    def _info(self, name: str, text: str, labels: dict[str, str]) -> MetricFamily:
        return MetricFamily(PREFIX + name, text, [Sample(1, labels)])

    def _of_cards(self) -> Iterator[MetricFamily]:
        readings = self._cards.now()
        if not readings:
            return
        for name, text in CARDS.items():
            samples = []
            for each in readings:
                value = getattr(each, name.removeprefix("gpu_"))
                if value is not None:
                    labels = {"gpu": each.gpu, "uuid": each.uuid, "card": each.card}
                    samples.append(Sample(value, labels))
            yield MetricFamily(PREFIX + name, text, samples)


def _of_processes() -> Iterator[MetricFamily]:
    used = tree_use(os.getpid())
    if not used.processes:
        return
    values = asdict(used)
    for name, text in PROCESSES.items():
        sample = Sample(values[name])
        yield MetricFamily(PREFIX + name, text, [sample], counts=name in COUNTS)
