"""The cards of a plan: named, from a user's file, or this machine as it measures itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.runtime.bandwidth import measured_speed
from llmops_cli.runtime.rows import read_text
from llmops_cli.sizing.devices import GIB, GIGA, PCIE4, TERA, Device
from llmops_cli.sizing.gpu_facts import GpuFacts, Price
from llmops_cli.sizing.gpus import Gpu, NamedGpus, check_own, read_gpus

HERE = "this-machine"


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
    source: str = ""
    date: str = ""


class OwnFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`gpus`: name -> card."""

    gpus: dict[str, OwnGpu]


def gpus_of(recipe: PlanRecipe) -> NamedGpus:
    """Raises: UsageError for none that is named, or an unknown one."""
    if recipe.this_machine:
        return NamedGpus(gpu=this_machine())
    if recipe.gpu is None:
        raise UsageError("a plan needs a card", hint="--gpu h100, or --this-machine")
    own = read_own(Path(recipe.gpu_file)) if recipe.gpu_file else {}
    return read_gpus(recipe.gpu, own)


def read_own(path: Path) -> dict[str, Gpu]:
    """A user's cards. Raises: UsageError for a file that is none, with the field."""
    import yaml

    try:
        loaded: Any = yaml.safe_load(read_text(path))  # Any: YAML
        file = msgspec.convert(loaded, OwnFile)
    except FileNotFoundError:
        raise UsageError(f"no GPU file at {path}") from None
    except yaml.YAMLError as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{path} is not YAML: {reason}") from error
    except msgspec.ValidationError as error:
        raise UsageError(
            f"{path}: {error}",
            hint="gpus: {mine: {memory_gib: 24, bandwidth_gb_per_s: 900, bf16_tflops: 80}}",
        ) from error
    found = {name.lower(): _own(name, each) for name, each in file.gpus.items()}
    check_own(found)
    return found


def _own(name: str, own: OwnGpu) -> Gpu:
    """Over the table's card of that name, where there is one."""
    base = _base(name, own)
    device = msgspec.structs.replace(
        base.device,
        memory_bytes=_or(own.memory_gib, GIB, base.device.memory_bytes),
        memory_bytes_per_s=_or(own.bandwidth_gb_per_s, GIGA, base.device.memory_bytes_per_s),
        bf16_flops=_or(own.bf16_tflops, TERA, base.device.bf16_flops),
        f32_flops=None if own.f32_tflops is None else own.f32_tflops * TERA,
        fp8_flops=None if own.fp8_tflops is None else own.fp8_tflops * TERA,
    )
    price = base.facts.price
    if own.usd_per_hour is not None:
        price = Price(
            usd_per_hour=own.usd_per_hour,
            spot_usd_per_hour=own.spot_usd_per_hour,
            date=own.date,
            source=own.source or "a user's file",
        )
    facts = msgspec.structs.replace(base.facts, price=price)
    return Gpu(device=device, facts=facts)


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
