"""docs/GATEWAY_METRICS.md, made from the families: `python -m llmops_cli.serve.watch.page`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping

from llmops_cli.serve.watch.families import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    LABELS,
    CounterFamily,
    GaugeFamily,
    HistogramFamily,
)
from llmops_cli.serve.watch.info_board import INFOS, InfoFamily
from llmops_cli.serve.watch.machine_board import GPUS, PROCESSES, MachineFamily
from llmops_cli.serve.watch.member_board import MEMBERS, MemberFamily
from llmops_cli.serve.watch.metrics import PREFIX

HEAD = """# Metrics of the gateway

Made from the code by `python -m llmops_cli.serve.watch.page`; a test keeps it so.

`GET /metrics` has them for Prometheus, with a key of the role admin or metrics. Counts are since
the start and over all workers, those that have ended included; gauges are of the workers that
live. Times are in seconds.
"""
MERGED = {"livesum": "sum", "livemin": "least", "livemax": "most"}

MetricFamily = (
    CounterFamily | HistogramFamily | GaugeFamily | MemberFamily | InfoFamily | MachineFamily
)


def page() -> str:
    return "\n".join(
        [
            HEAD,
            *_counters(),
            *_histograms(),
            *_gauges(),
            *_members(),
            *_infos(),
            *_machine(),
            *_labels(),
        ]
    )


def _counters() -> Iterator[str]:
    yield "## Counters\n"
    yield from _table(["name", "labels", "what it counts"])
    for name, family in COUNTERS.items():
        yield _row([f"`{PREFIX}{name}_total`", _named(family), family.text])
    yield ""


def _histograms() -> Iterator[str]:
    yield "## Histograms\n"
    yield "Each is `_bucket`, `_sum` and `_count`.\n"
    yield from _table(["name", "labels", "what it times", "bounds"])
    for name, family in HISTOGRAMS.items():
        bounds = ", ".join(f"{bound:g}" for bound in family.buckets_s)
        yield _row([f"`{PREFIX}{name}`", _named(family), family.text, bounds])
    yield ""


def _gauges() -> Iterator[str]:
    yield "## Gauges\n"
    yield from _table(["name", "labels", "what it is", "of several workers"])
    for name, family in GAUGES.items():
        merged = MERGED[family.merging]
        if "worker" in family.labels:
            merged = "each"
        yield _row([f"`{PREFIX}{name}`", _named(family), family.text, merged])
    yield ""


def _members() -> Iterator[str]:
    yield "## Members\n"
    yield "Of upstreams with several addresses, while they are members; gone with them.\n"
    yield from _table(["name", "labels", "what it is", "of several workers"])
    for name, family in MEMBERS.items():
        shown = f"{name}_total" if family.counts else name
        yield _row([f"`{PREFIX}{shown}`", _named(family), family.text, MERGED[family.merged]])
    yield ""


def _infos() -> Iterator[str]:
    yield "## What is served\n"
    yield "Always 1; the labels say it. Each line of the audit log has the same digests.\n"
    yield from _table(["name", "labels", "what it is"])
    for name, family in INFOS.items():
        yield _row([f"`{PREFIX}{name}`", _named(family), family.text])
    yield ""


def _machine() -> Iterator[str]:
    yield "## The machine\n"
    yield "Of the gateway's processes together, and of NVIDIA's cards where the gateway runs.\n"
    yield from _table(["name", "labels", "what it is", "DCGM's name"])
    for name, family in {**PROCESSES, **GPUS}.items():
        shown = f"{name}_total" if family.counts else name
        dcgm = f"`{family.dcgm}`" if family.dcgm else ""
        yield _row([f"`{PREFIX}{shown}`", _named(family), family.text, dcgm])
    yield ""


def _labels() -> Iterator[str]:
    yield "## Labels\n"
    yield "Their values come from sets that neither clients nor upstreams can make grow.\n"
    yield from _table(["label", "its values", "of"])
    for label, text in LABELS.items():
        having = [f"`{name}`" for name in _having(label)]
        yield _row([f"`{label}`", text, ", ".join(having)])
    yield ""


def _having(label: str) -> Iterator[str]:
    kinds: tuple[Mapping[str, MetricFamily], ...] = (
        COUNTERS,
        HISTOGRAMS,
        GAUGES,
        MEMBERS,
        INFOS,
        GPUS,
    )
    for families in kinds:
        for name, family in families.items():
            if label in family.labels:
                yield name


def _named(family: MetricFamily) -> str:
    return ", ".join(f"`{label}`" for label in family.labels)


def _table(heads: list[str]) -> Iterable[str]:
    return [_row(heads), _row(["---"] * len(heads))]


def _row(cells: list[str]) -> str:
    inner = " | ".join(cells)
    return f"| {inner} |"


if __name__ == "__main__":
    sys.stdout.write(page())
