"""The cards of a plan: named, from a user's file, or this machine as it measures itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.misfit import misfit_of
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.sizing.devices import GIB, GIGA, PCIE4, TERA, Device
from llmops_cli.sizing.gpu_facts import GpuFacts, Price
from llmops_cli.sizing.gpus import Gpu, NamedGpus, check_own, read_gpus

HERE = "this-machine"
DEAREST_USD = 10_000.0
FASTEST_TFLOPS = 100_000.0
FASTEST_GB_PER_S = 100_000.0


class OwnGpu(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A card in a user's file, or the price of one that is in the table."""

    memory_gib: float | None = None
    bandwidth_gb_per_s: float | None = None
    bf16_tflops: float | None = None
    f32_tflops: float | None = None
    fp8_tflops: float | None = None
    link_gb_per_s: float = PCIE4
    usd_per_hour: float | None = None
    spot_usd_per_hour: float | None = None
    reserved_usd_per_hour: float | None = None
    source: str = ""
    date: str = ""


class OwnFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`gpus`: name -> card."""

    gpus: dict[str, OwnGpu]


def gpus_of(recipe: PlanRecipe) -> NamedGpus:
    """Raises: UsageError for none that is named, or an unknown one."""
    if recipe.this_machine and recipe.gpu is not None:
        raise UsageError("--this-machine and --gpu are two machines", hint="give one")
    if recipe.this_machine:
        return NamedGpus(gpu=this_machine())
    if recipe.gpu is None:
        raise UsageError("a plan needs a card", hint="--gpu h100, or --this-machine")
    own = read_own(Path(recipe.gpu_file)) if recipe.gpu_file else {}
    return read_gpus(recipe.gpu, own)


def read_own(path: Path) -> dict[str, Gpu]:
    """A user's cards. Raises: UsageError for a file that is none, with the field."""
    from llmops_cli.runtime.rows import read_text
    from llmops_cli.runtime.yaml_text import UNREADABLE, load_yaml, reason_of

    try:
        loaded: Any = load_yaml(read_text(path))  # Any: YAML
        misfit = misfit_of(loaded, OwnFile)
    except FileNotFoundError:
        raise UsageError(f"no GPU file at {path}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except UNREADABLE as error:
        raise UsageError(f"{path} is not YAML: {reason_of(error)}") from error
    if misfit is not None:
        raise UsageError(
            f"{path}: {misfit.told}",
            hint="gpus: {mine: {memory_gib: 24, bandwidth_gb_per_s: 900, bf16_tflops: 80}}",
        )
    file = msgspec.convert(loaded, OwnFile)
    for name, each in file.gpus.items():
        _check_amounts(name, each)
    found = {name.lower(): _own(name, each) for name, each in file.gpus.items()}
    check_own(found)
    return found


def _check_amounts(name: str, own: OwnGpu) -> None:
    """Raises: UsageError for what is below its least, or no number (`.nan` is one in YAML)."""
    limits = {
        "usd_per_hour": (own.usd_per_hour, 0.0, DEAREST_USD),
        "spot_usd_per_hour": (own.spot_usd_per_hour, 0.0, DEAREST_USD),
        "reserved_usd_per_hour": (own.reserved_usd_per_hour, 0.0, DEAREST_USD),
        "f32_tflops": (own.f32_tflops, 0.01, FASTEST_TFLOPS),
        "fp8_tflops": (own.fp8_tflops, 0.01, FASTEST_TFLOPS),
        "link_gb_per_s": (own.link_gb_per_s, 0.01, FASTEST_GB_PER_S),
    }
    for field, (value, low, high) in limits.items():
        if value is not None and not low <= value <= high:
            raise UsageError(
                f"GPU '{name}': {field} {value:g} is out of range",
                hint=f"from {low:g} to {high:,.0f}",
            )


def _own(name: str, own: OwnGpu) -> Gpu:
    """Over the table's card of that name, where there is one."""
    base = _base(name, own)
    device = msgspec.structs.replace(
        base.device,
        memory_bytes=_or(own.memory_gib, GIB, base.device.memory_bytes),
        memory_bytes_per_s=_or(own.bandwidth_gb_per_s, GIGA, base.device.memory_bytes_per_s),
        bf16_flops=_or(own.bf16_tflops, TERA, base.device.bf16_flops),
        f32_flops=_peak(own.f32_tflops, base.device.f32_flops),
        fp8_flops=_peak(own.fp8_tflops, base.device.fp8_flops),
    )
    facts = msgspec.structs.replace(base.facts, price=_price(name, own, base.facts.price))
    return Gpu(device=device, facts=facts)


def _peak(tflops: float | None, other: float | None) -> float | None:
    return other if tflops is None else tflops * TERA


def _price(name: str, own: OwnGpu, table: Price | None) -> Price | None:
    """Raises: UsageError for a spot price of a card that has no other."""
    told = (own.usd_per_hour, own.spot_usd_per_hour, own.reserved_usd_per_hour)
    if told == (None, None, None):
        return table
    on_demand = own.usd_per_hour
    if on_demand is None and table is not None:
        on_demand = table.usd_per_hour
    if on_demand is None:
        kind = "a reserved" if own.spot_usd_per_hour is None else "a spot"
        raise UsageError(f"GPU '{name}' has {kind} price only", hint="add usd_per_hour")
    return Price(
        usd_per_hour=on_demand,
        spot_usd_per_hour=own.spot_usd_per_hour,
        reserved_usd_per_hour=own.reserved_usd_per_hour,
        date=own.date,
        source=own.source or "a user's file",
    )


def _or(value: float | None, unit: float, other: float) -> float:
    return other if value is None else value * unit


def _base(name: str, own: OwnGpu) -> Gpu:
    """Raises: UsageError for a new card that lacks a figure."""
    sizes = (own.memory_gib, own.bandwidth_gb_per_s, own.bf16_tflops)
    if None not in sizes:
        device = Device(
            name=name.lower(),
            memory_bytes=1.0,
            bf16_flops=1.0,
            memory_bytes_per_s=1.0,
            link_bytes_per_s=own.link_gb_per_s * GIGA,
        )
        return Gpu(device=device, facts=GpuFacts(source=own.source or "a user's file"))
    try:
        return read_gpus(name).gpu
    except UsageError as error:
        raise UsageError(
            f"GPU '{name}' is new, and lacks a figure",
            hint="memory_gib, bandwidth_gb_per_s and bf16_tflops are needed",
        ) from error


def this_machine() -> Gpu:
    """Its processor with the speed that it measured."""
    import psutil

    from llmops_cli.runtime.bandwidth import measured_speed

    speed = measured_speed()
    device = Device(
        name=HERE,
        memory_bytes=float(psutil.virtual_memory().total),
        bf16_flops=speed.flops,
        f32_flops=speed.flops,
        memory_bytes_per_s=speed.bytes_per_s,
        link_bytes_per_s=1e9,
        is_cpu=True,
        devices_per_node=1,
    )
    return Gpu(device=device, facts=GpuFacts(source="measured on this machine"))
