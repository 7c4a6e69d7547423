"""Bench reports as measurements: what this machine reaches of what arithmetic says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.bench_runs import Bench, Measured, read_bench
from llmops_cli.plan.devices import HERE
from llmops_cli.plan.fitted import FitFile
from llmops_cli.sizing.calibration import Observation, fit
from llmops_cli.sizing.efficiency import constants_digest, efficiency_of
from llmops_cli.sizing.queueing import Service, closed_loop
from llmops_cli.sizing.speed import prefill_s, step_s

MOST_RATIO = 30.0
"""Either way; a measurement further off is of something else."""
MOST_WAITED = 0.2
"""Of a request's time, for neither steps nor prompts, where the rate still tells of steps."""
NUDGE = 0.05
"""Of a logarithm, to see what follows from it."""
LEAST_WEIGHT = 0.05


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
