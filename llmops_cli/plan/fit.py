"""Bench reports as measurements: what this machine reaches of what arithmetic says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.devices import HERE, this_machine
from llmops_cli.plan.fitted import FitFile
from llmops_cli.plan.models import is_gguf_scheme, read_load
from llmops_cli.runtime.hardware import probe_hardware
from llmops_cli.runtime.runs import load_report
from llmops_cli.sizing.calibration import Observation, fit
from llmops_cli.sizing.efficiency import constants_digest, efficiency_of
from llmops_cli.sizing.gpus import Gpu, gpu_named
from llmops_cli.sizing.load import ServingLoad
from llmops_cli.sizing.placement import Placement
from llmops_cli.sizing.queueing import Service, closed_loop
from llmops_cli.sizing.speed import prefill_s, step_s

ENGINE_NAMES = {"hf": "transformers", "transformers": "transformers"}
BENCH = "llmops.bench"
MOST_RATIO = 30.0
"""Either way; a measurement further off is of something else."""
MOST_FAILED = 0.1
"""Of a level's requests, where its tokens a second still tell of the engine."""
NUDGE = 0.05
"""Of a logarithm, to see what follows from it."""
LEAST_WEIGHT = 0.05


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A level of a run: tokens of an answered request, and middle times, which no stall moves."""

    streams: int
    prompt_tokens: float
    output_tokens: float
    ttft_ms: float
    tpot_ms: float
    tokens_per_s: float


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """A run with what it ran on."""

    engine: str
    load: ServingLoad
    place: Placement
    source: str
    levels: tuple[Measured, ...]


def fit_results(
    results: Sequence[Path], *, model: str | None, gpu: str | None, quant: str | None
) -> FitFile:
    """`model`, `quant`: in place of what the reports name, where no plan can read that.

    Raises: UsageError for a run that is no bench, of another machine, or with nothing to learn.
    """
    observations: list[Observation] = []
    for place in results:
        bench = read_bench(place, model=model, gpu=gpu, quant=quant)
        observations += observe(bench)
    if not observations:
        raise UsageError(
            "these runs have no closed level that worked", hint="llmops bench --concurrency 1,4,16"
        )
    return FitFile(
        constants=constants_digest(),
        groups=fit(observations),
        sources=tuple(str(place) for place in results),
    )


def read_bench(place: Path, *, model: str | None, gpu: str | None, quant: str | None) -> Bench:
    """Raises: UsageError as above."""
    report: Any = load_report(place)  # Any: each command has its own report
    if not str(report.schema).startswith(BENCH):
        raise UsageError(f"{place} is no bench run", hint="llmops bench makes them")
    recipe = report.manifest.recipe
    backend = str(recipe.get("backend"))
    engine = ENGINE_NAMES.get(backend, backend)
    scheme = quant or _scheme(recipe)
    load = read_load(model or str(recipe.get("model")), scheme=scheme, cache_type="F16")
    card = gpu_named(gpu) if gpu else _machine(report.manifest.hardware, place)
    efficiency_of(engine)
    return Bench(
        engine=engine,
        load=load,
        place=_place(card, recipe),
        source=str(place),
        levels=tuple(_levels(report.levels)),
    )


def _place(card: Gpu, recipe: dict[str, Any]) -> Placement:  # Any: a saved recipe
    """Over as many cards as the engine's options say."""
    options = recipe.get("options")
    told = options if isinstance(options, dict) else {}
    return Placement(
        gpu=card,
        tensor=_degree(told, "tensor"),
        pipeline=_degree(told, "pipeline"),
    )


def _degree(options: dict[str, Any], kind: str) -> int:  # Any: an engine's options
    """Under our name and vLLM's; 1 where it is not told."""
    for name in (f"{kind}_parallel", f"{kind}_parallel_size", f"{kind}-parallel-size"):
        told = str(options.get(name, ""))
        if told.isdigit() and int(told) > 0:
            return int(told)
    return 1


def _scheme(recipe: dict[str, Any]) -> str | None:  # Any: a saved recipe
    """Of an option that names a format, if one does."""
    options = recipe.get("options")
    named = options.get("quantization") if isinstance(options, dict) else None
    return str(named) if named and is_gguf_scheme(str(named).upper()) else None


def _machine(hardware: dict[str, Any], place: Path) -> Gpu:  # Any: as measured
    """The run's card, or this machine. Raises: UsageError for another machine's processor."""
    gpus = hardware.get("gpus")
    if isinstance(gpus, list) and gpus:
        return gpu_named(str(gpus[0].get("name")))
    here = probe_hardware()
    for name in ("cpu_model", "cores_logical"):
        if hardware.get(name) != here.get(name):
            raise UsageError(
                f"{place} was measured on another machine: {hardware.get(name)}, "
                f"here {here.get(name)}",
                hint="fit there, or say its card: --gpu",
            )
    return this_machine()


def _levels(levels: Sequence[Any]) -> Iterator[Measured]:  # Any: bench's levels
    """Closed ones whose figures hold. A request that fails takes time and has no tokens."""
    for level in levels:
        ttft_ms = level.ttft_ms.p50 or level.ttft_ms.mean
        tpot_ms = level.tpot_ms.p50 or level.tpot_ms.mean
        is_whole = level.valid and ttft_ms and tpot_ms
        if level.concurrency is None or not is_whole or not level.output_tokens_per_s:
            continue
        if level.errors > MOST_FAILED * level.requests:
            continue
        answered = level.ttft_ms.count
        each_tps = level.rates_each.get("output_tokens_per_s")
        yield Measured(
            streams=level.concurrency,
            prompt_tokens=max(1.0, level.input_tokens / answered),
            output_tokens=max(2.0, level.output_tokens / answered),
            ttft_ms=ttft_ms,
            tpot_ms=tpot_ms,
            tokens_per_s=median(each_tps) if each_tps else level.output_tokens_per_s,
        )


def observe(bench: Bench) -> Iterator[Observation]:
    """One stream tells decoding and prefill, several tell the batch."""
    alone = [level for level in bench.levels if level.streams == 1]
    crowds = [level for level in bench.levels if level.streams > 1]
    prompts = []
    for level in alone:
        service = raw_service(bench, level)
        yield _observation(bench, "decode", service.step_s(1) * 1000 / level.tpot_ms)
        prompts.append(closed_loop(service, 1).ttft_s * 1000 / level.ttft_ms)
    if crowds and not alone:
        fewest = min(crowds, key=lambda level: level.streams)
        prompts.append(_prompt_ratio(raw_service(bench, fewest), fewest))
    for ratio in prompts:
        yield _observation(bench, "prefill", ratio)
    for level in crowds:
        service = raw_service(bench, level)
        found = batch_ratio(service, level, prompt_ratio=median(prompts))
        yield _observation(bench, "batch", found.ratio, weight=found.weight)


class BatchRatio(NamedTuple):
    """`weight`: of the tokens a second, what steps decide; prompts decide the rest."""

    ratio: float
    weight: float


def batch_ratio(service: Service, level: Measured, *, prompt_ratio: float) -> BatchRatio:
    """How much faster steps must be for the tokens a second that were measured."""

    def log_rate(shift: float) -> float:
        scaled = _scaled(service, prompts=prompt_ratio, steps=math.exp(shift))
        return math.log(closed_loop(scaled, level.streams).tokens_per_s)

    shift = _where(log_rate, math.log(level.tokens_per_s))
    weight = (log_rate(shift + NUDGE) - log_rate(shift - NUDGE)) / (2 * NUDGE)
    return BatchRatio(math.exp(shift), max(LEAST_WEIGHT, min(1.0, weight)))


def _prompt_ratio(service: Service, level: Measured) -> float:
    """How much faster prompts must be for the first token that several streams waited for."""

    def log_speed(shift: float) -> float:
        ratio = math.exp(shift)
        steps = batch_ratio(service, level, prompt_ratio=ratio).ratio
        found = closed_loop(_scaled(service, prompts=ratio, steps=steps), level.streams)
        return -math.log(found.ttft_s)

    return math.exp(_where(log_speed, -math.log(level.ttft_ms / 1000)))


def _scaled(service: Service, *, prompts: float, steps: float) -> Service:
    """So many times as fast."""
    return msgspec.structs.replace(
        service,
        prefill_s=service.prefill_s / prompts,
        step_s=lambda streams: service.step_s(streams) / steps,
    )


def _where(grows: Callable[[float], float], wanted: float) -> float:
    """The logarithm of a ratio at which it is so much, by halving."""
    low = -math.log(MOST_RATIO)
    high = math.log(MOST_RATIO)
    for _ in range(40):
        middle = (low + high) / 2
        if grows(middle) < wanted:
            low = middle
        else:
            high = middle
    return high


def raw_service(bench: Bench, level: Measured) -> Service:
    """Before any calibration."""
    card = bench.place.gpu
    efficiency = efficiency_of(bench.engine, card.name, is_cpu=card.device.is_cpu)
    context = level.prompt_tokens + level.output_tokens / 2

    def step(streams: float) -> float:
        return step_s(bench.load, bench.place, efficiency, batch=streams, context=context)

    return Service(
        prefill_s=prefill_s(bench.load, bench.place, efficiency, tokens=level.prompt_tokens),
        output_tokens=level.output_tokens,
        slots=max(1, level.streams),
        step_s=step,
    )


def _observation(bench: Bench, quantity: str, ratio: float, *, weight: float = 1.0) -> Observation:
    machine = HERE if bench.place.device.is_cpu else bench.place.gpu.name
    return Observation(
        engine=bench.engine,
        machine=machine,
        quantity=quantity,
        ratio=ratio,
        weight=weight,
        source=bench.source,
    )
