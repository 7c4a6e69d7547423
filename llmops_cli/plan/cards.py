"""Every card that a plan knows by name."""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmops_cli.plan.devices import read_own
from llmops_cli.sizing.devices import GIB, GIGA, TERA
from llmops_cli.sizing.gpus import KNOWN, Gpu, gpu_named


class CardRow(msgspec.Struct, frozen=True, kw_only=True):
    """A card as the table has it. Peaks are dense; prices are hints of the year in `date`."""

    name: str
    memory_gib: float
    bandwidth_gb_per_s: float
    bf16_tflops: float
    fp8_tflops: float | None
    capability: float | None
    usd_per_hour: float | None
    date: str | None
    source: str


def card_rows(gpu_file: Path | None) -> list[CardRow]:
    """By name, those of the file among them. Raises: UsageError for a file that is none."""
    own = read_own(gpu_file) if gpu_file is not None else {}
    names = sorted({*KNOWN, *own})
    return [_row(name, own.get(name) or gpu_named(name)) for name in names]


def _row(name: str, gpu: Gpu) -> CardRow:
    device = gpu.device
    price = gpu.facts.price
    return CardRow(
        name=name,
        memory_gib=device.memory_bytes / GIB,
        bandwidth_gb_per_s=device.memory_bytes_per_s / GIGA,
        bf16_tflops=device.bf16_flops / TERA,
        fp8_tflops=None if device.fp8_flops is None else device.fp8_flops / TERA,
        capability=gpu.facts.capability,
        usd_per_hour=None if price is None else price.usd_per_hour,
        date=price.date if price is not None and price.date else None,
        source=gpu.facts.source,
    )
