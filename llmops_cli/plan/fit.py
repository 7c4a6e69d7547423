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
MOST_WAITED = 0.2
"""Of a request's time, for neither steps nor prompts, where the rate still tells of steps."""
NUDGE = 0.05
"""Of a logarithm, to see what follows from it."""
LEAST_WEIGHT = 0.05


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A level of a run: tokens of an answered request, and middle times, which no stall moves.

    `hidden_tokens`: of the output, those that were thought before the first one that was sent.
    `tokens_per_s` has them too.
    """

    streams: int
    prompt_tokens: float
    output_tokens: float
    hidden_tokens: float
    ttft_ms: float
    tpot_ms: float
    tokens_per_s: float


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """A run with what it ran on.

    `slots`: requests that the engine has at once; None for a server that somebody else started.
    """

    engine: str
    load: ServingLoad
    place: Placement
    source: str
    slots: int | None
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
            "these runs have no closed level that worked and whose requests had a slot",
            hint="llmops bench --concurrency 1,4,16",
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
        slots=_slots(recipe, report.levels),
        levels=tuple(_levels(report.levels)),
    )


def _place(card: Gpu, recipe: dict[str, Any]) -> Placement:  # Any: a saved recipe
    """Over as many cards as the engine's options say."""
    told = _options(recipe)
    return Placement(
        gpu=card,
        tensor=_degree(told, "tensor"),
        pipeline=_degree(told, "pipeline"),
    )


def _slots(recipe: dict[str, Any], levels: Sequence[Any]) -> int | None:  # Any: as saved
    """Of all copies together. What bench starts has one for each stream unless it is told."""
    told = _options(recipe)
    each = _whole(told, "max_num_seqs", "max-num-seqs")
    if each is not None:
        return each * _degree(told, "data")
    if recipe.get("url"):
        return None
    return max((level.concurrency or 1 for level in levels), default=1)


def _options(recipe: dict[str, Any]) -> dict[str, Any]:  # Any: an engine's options
    options = recipe.get("options")
    return options if isinstance(options, dict) else {}


def _degree(options: dict[str, Any], kind: str) -> int:  # Any: an engine's options
    """Under our name and vLLM's; 1 where it is not told."""
    names = (f"{kind}_parallel", f"{kind}_parallel_size", f"{kind}-parallel-size")
    return _whole(options, *names) or 1


def _whole(options: dict[str, Any], *names: str) -> int | None:  # Any: an engine's options
    for name in names:
        told = str(options.get(name, ""))
        if told.isdigit() and int(told) > 0:
            return int(told)
    return None


def _scheme(recipe: dict[str, Any]) -> str | None:  # Any: a saved recipe
    """Of an option that names a format, if one does."""
    named = _options(recipe).get("quantization")
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
        if level.concurrency is None or not is_whole:
            continue
        if level.errors > MOST_FAILED * level.requests:
            continue
        tokens_per_s = _tokens_per_s(level)
        if not tokens_per_s:
            continue
        answered = level.ttft_ms.count
        yield Measured(
            streams=level.concurrency,
            prompt_tokens=max(1.0, level.input_tokens / answered),
            output_tokens=max(2.0, level.output_tokens / answered),
            hidden_tokens=level.hidden_tokens / answered,
            ttft_ms=ttft_ms,
            tpot_ms=tpot_ms,
            tokens_per_s=tokens_per_s,
        )


def _tokens_per_s(level: Any) -> float:  # Any: bench's level
    """With those that were thought and not sent, which bench counts apart; 0 for no rate."""
    each_tps = level.rates_each.get("output_tokens_per_s")
    sent_tps = median(each_tps) if each_tps else level.output_tokens_per_s
    sent = level.output_tokens - level.hidden_tokens
    if sent <= 0:
        return 0.0
    return float(sent_tps * level.output_tokens / sent)


def observe(bench: Bench) -> Iterator[Observation]:
    """One stream tells decoding and prefill, several tell the batch.

    The first token of several tells prefill where it waited for prompts alone; one that was thought
    about never does.
    """
    alone = [level for level in bench.levels if level.streams == 1]
    crowds = [level for level in bench.levels if level.streams > 1]
    prompts = []
    for level in alone:
        service = raw_service(bench, level)
        yield _observation(bench, "decode", service.step_s(1) * 1000 / level.tpot_ms)
        if not level.hidden_tokens:
            prompts.append(closed_loop(service, 1).ttft_s * 1000 / level.ttft_ms)
    if crowds and not alone:
        prompts += _of_crowds(bench, crowds)
    for ratio in prompts:
        yield _observation(bench, "prefill", ratio)
    for level in crowds:
        service = raw_service(bench, level)
        found = batch_ratio(service, level, prompt_ratio=median(prompts or [1.0]))
        if found is not None:
            yield _observation(bench, "batch", found.ratio, weight=found.weight)


def _of_crowds(bench: Bench, crowds: Sequence[Measured]) -> Iterator[float]:
    """The ratio of prompts by the level of fewest streams, if each of them had a slot."""
    fewest = min(crowds, key=lambda level: level.streams)
    if bench.slots is None or fewest.streams > bench.slots or fewest.hidden_tokens:
        return
    ratio = _prompt_ratio(raw_service(bench, fewest), fewest)
    if ratio is not None:
        yield ratio


class BatchRatio(NamedTuple):
    """`weight`: of the tokens a second, what steps decide; prompts decide the rest."""

    ratio: float
    weight: float


class Found(NamedTuple):
    """The logarithm of a ratio. `is_bound`: what was wanted lies beyond it."""

    shift: float
    is_bound: bool


def batch_ratio(service: Service, level: Measured, *, prompt_ratio: float) -> BatchRatio | None:
    """How much faster steps must be for the tokens a second that were measured.

    None where other things than steps decided that: no speed of theirs gives it, or requests
    waited for a slot.
    """
    found = _steps(service, level, prompt_ratio=prompt_ratio)
    ratio = math.exp(found.shift)
    scaled = _scaled(service, prompts=prompt_ratio, steps=ratio)
    if found.is_bound or _has_waited(scaled, level):
        return None
    slower = _log_rate(_scaled(scaled, prompts=1, steps=math.exp(-NUDGE)), level)
    faster = _log_rate(_scaled(scaled, prompts=1, steps=math.exp(NUDGE)), level)
    weight = (faster - slower) / (2 * NUDGE)
    return BatchRatio(ratio, max(LEAST_WEIGHT, min(1.0, weight)))


def _steps(service: Service, level: Measured, *, prompt_ratio: float) -> Found:
    def log_rate(shift: float) -> float:
        return _log_rate(_scaled(service, prompts=prompt_ratio, steps=math.exp(shift)), level)

    return _where(log_rate, math.log(level.tokens_per_s))


def _log_rate(service: Service, level: Measured) -> float:
    return math.log(closed_loop(service, level.streams).tokens_per_s)


def _has_waited(service: Service, level: Measured) -> bool:
    """Whether the first token came later than after the prompts of all, and for another reason.

    As where the server has fewer slots than it is told here.
    """
    request_s = level.streams * level.output_tokens / level.tokens_per_s
    active = min(level.streams, service.slots)
    slot_s = request_s * (1 - active / level.streams)
    thought_s = level.hidden_tokens * level.tpot_ms / 1000
    known_s = active * service.prefill_s + 1.5 * service.step_s(active) + slot_s + thought_s
    return level.ttft_ms / 1000 - known_s > MOST_WAITED * request_s


def _prompt_ratio(service: Service, level: Measured) -> float | None:
    """How much faster prompts must be for the first token that several streams waited for.

    None where no speed of prompts and steps gives it.
    """

    def log_speed(shift: float) -> float:
        ratio = math.exp(shift)
        steps = math.exp(_steps(service, level, prompt_ratio=ratio).shift)
        found = closed_loop(_scaled(service, prompts=ratio, steps=steps), level.streams)
        return -math.log(found.ttft_s)

    found = _where(log_speed, -math.log(level.ttft_ms / 1000))
    ratio = math.exp(found.shift)
    if found.is_bound or _steps(service, level, prompt_ratio=ratio).is_bound:
        return None
    return ratio


def _scaled(service: Service, *, prompts: float, steps: float) -> Service:
    """So many times as fast."""
    return msgspec.structs.replace(
        service,
        prefill_s=service.prefill_s / prompts,
        step_s=lambda streams: service.step_s(streams) / steps,
    )


def _where(grows: Callable[[float], float], wanted: float) -> Found:
    """Where it is so much, by halving."""
    low = -math.log(MOST_RATIO)
    high = math.log(MOST_RATIO)
    is_within = grows(low) < wanted < grows(high)
    for _ in range(40):
        middle = (low + high) / 2
        if grows(middle) < wanted:
            low = middle
        else:
            high = middle
    return Found(high, is_bound=not is_within)


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
        slots=min(level.streams, bench.slots or level.streams),
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
