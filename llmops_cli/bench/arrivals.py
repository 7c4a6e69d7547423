"""When requests are due: loads, and the seeded times of open ones.

A closed load sends when a stream becomes free. An open one sends at times that do not depend on the
server.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from llmops_cli.bench.recipe import DEFAULT_CONCURRENCY, LOADS, BenchRecipe
from llmops_cli.bench.report import streams_label
from llmops_cli.core.errors import UsageError

LEAST_S = 3.0
OPEN_S = 30.0
FEWEST_REQUESTS = 50
"""So that p95 can be told of the 40 or more that are inside the window."""
_STEP = re.compile(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)s?")
_RAMP = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)")


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One level.

    `count` sessions (None: as many as fit into `duration_s`), and more until `least_s` are over; a
    session is a conversation of one or more requests. `steps` are (rate per second, seconds); a
    ramp goes from `rate_per_s` to `ramp_to_per_s`.
    """

    kind: Literal["closed", "rate", "ramp", "steps", "burst", "trace"]
    label: str
    concurrency: int | None = None
    rate_per_s: float | None = None
    ramp_to_per_s: float | None = None
    steps: tuple[tuple[float, float], ...] = ()
    process: str = "poisson"
    burstiness: float = 1.0
    count: int | None = None
    duration_s: float | None = None
    least_s: float = 0.0
    time_scale: float = 1.0

    @property
    def is_stationary(self) -> bool:
        """Whether a steady state can be expected."""
        return self.kind in ("closed", "rate")


def loads_of(recipe: BenchRecipe) -> list[Load]:
    """The recipe's levels.

    Raises: UsageError for two kinds of load at once, or a ramp without its duration.
    """
    asked = [name for name in LOADS if getattr(recipe, name)]
    _check_asked(recipe, asked)
    kind = asked[0] if asked else "concurrency"
    return _MAKERS[kind](recipe)


def _check_asked(recipe: BenchRecipe, asked: list[str]) -> None:
    if len(asked) > 1:
        raise UsageError(f"--{asked[0]} and --{asked[1]} are two loads", hint="give one of them")
    for name in asked:
        values = getattr(recipe, name)
        if not isinstance(values, list):
            continue
        distinct = set(values)
        if len(distinct) < len(values):
            raise UsageError(f"--{name} has a value twice", hint="--repeats runs levels again")
    is_other_load = bool(asked) and asked[0] != "rate"
    if recipe.search and is_other_load:
        raise UsageError(
            f"--search finds a rate; --{asked[0]} is another load", hint="--search --rate START"
        )
    if recipe.trace and recipe.dataset != "synthetic":
        raise UsageError(
            "a trace brings its own lengths; --dataset would not be used", hint="give one of them"
        )


def _closed(recipe: BenchRecipe) -> list[Load]:
    asked = recipe.concurrency or DEFAULT_CONCURRENCY
    return [_streams(recipe, streams) for streams in asked]


def _streams(recipe: BenchRecipe, streams: int) -> Load:
    """At least FEWEST_REQUESTS and LEAST_S unless told otherwise."""
    count = recipe.requests
    least_s = 0.0
    if not recipe.requests and not recipe.duration_s:
        count = max(FEWEST_REQUESTS, 5 * streams)
        least_s = LEAST_S
    return Load(
        kind="closed",
        label=streams_label(streams),
        concurrency=streams,
        count=count,
        duration_s=recipe.duration_s,
        least_s=least_s,
    )


def _rates(recipe: BenchRecipe) -> list[Load]:
    loads = []
    for rate in recipe.rate:
        load = rate_load(recipe, rate, count=recipe.requests, duration_s=recipe.duration_s)
        loads.append(load)
    return loads


def _steps(recipe: BenchRecipe) -> list[Load]:
    steps = [_step(text) for text in recipe.steps]
    shown = [f"{rate:g}/s" for rate, _ in steps]
    rates = ", ".join(shown)
    load = Load(
        kind="steps",
        label=f"steps {rates}",
        steps=tuple(steps),
        duration_s=sum(seconds for _, seconds in steps),
        process=_process(recipe),
        burstiness=recipe.burstiness,
    )
    return [load]


def _burst(recipe: BenchRecipe) -> list[Load]:
    label = f"{recipe.burst} at once"
    load = Load(kind="burst", label=label, count=recipe.burst)
    return [load]


def _trace(recipe: BenchRecipe) -> list[Load]:
    label = "trace"
    if recipe.time_scale != 1:
        label += f" x{recipe.time_scale:g}"
    load = Load(
        kind="trace",
        label=label,
        time_scale=recipe.time_scale,
        count=recipe.requests,
        duration_s=recipe.duration_s,
    )
    return [load]


def rate_load(
    recipe: BenchRecipe,
    rate: float,
    *,
    count: int | None,
    duration_s: float | None,
) -> Load:
    """An open level of one rate; OPEN_S and FEWEST_REQUESTS at least, unless limited."""
    usual_s = max(OPEN_S, FEWEST_REQUESTS / rate)
    return Load(
        kind="rate",
        label=f"{rate_words(rate)}/s",
        rate_per_s=rate,
        count=count,
        duration_s=duration_s or (None if count else usual_s),
        process=_process(recipe),
        burstiness=recipe.burstiness,
    )


def rate_words(rate: float) -> str:
    """Four digits, without an exponent."""
    return f"{rate:.4g}" if rate < 10_000 else f"{rate:,.0f}"


def _process(recipe: BenchRecipe) -> str:
    """A burstiness alone asks for the gamma process, whose shape it is.

    1 is Poisson, smaller is burstier.
    """
    if recipe.arrival == "poisson" and recipe.burstiness != 1:
        return "gamma"
    return recipe.arrival


def _ramp(recipe: BenchRecipe) -> list[Load]:
    found = _RAMP.fullmatch(recipe.ramp or "")
    if not found or not float(found[2]):
        raise UsageError(
            f"'{recipe.ramp}' is no ramp",
            hint="--ramp 1-20 --duration-s 60: from 1 to 20 per second",
        )
    low = float(found[1])
    high = float(found[2])
    load = Load(
        kind="ramp",
        label=f"ramp {low:g}-{high:g}/s",
        rate_per_s=low,
        ramp_to_per_s=high,
        duration_s=recipe.duration_s or 60.0,
        process=_process(recipe),
        burstiness=recipe.burstiness,
    )
    return [load]


def _step(text: str) -> tuple[float, float]:
    found = _STEP.fullmatch(text.strip())
    rate_per_s = 0.0
    seconds = 0.0
    if found:
        rate_per_s = float(found[1])
        seconds = float(found[2])
    if not rate_per_s or not seconds:
        raise UsageError(
            f"'{text}' is no step", hint="--steps 2x30,5x30: 2 per second for 30 s, then 5"
        )
    return rate_per_s, seconds


_MAKERS: dict[str, Callable[[BenchRecipe], list[Load]]] = {
    "concurrency": _closed,
    "rate": _rates,
    "ramp": _ramp,
    "steps": _steps,
    "burst": _burst,
    "trace": _trace,
}


def due_times_s(load: Load, seed: str) -> Iterator[float]:
    """Seconds from the start, rising.

    The same load and seed give the same times; a trace has its own.
    """
    if load.kind == "burst":
        for _ in range(load.count or 0):
            yield 0.0
        return
    rng = random.Random(f"{seed}/arrivals")
    unit = 0.0
    sent = 0
    while load.count is None or sent < load.count:
        # a process of rate 1, stretched by the inverse of the cumulated rate, keeps its law under
        # any rate curve
        due_s = _stretch(load, unit)
        if due_s is None:
            return
        is_late = load.duration_s is not None and due_s >= load.duration_s
        if is_late:
            return
        yield due_s
        sent += 1
        unit += _gap(load, rng)


def _gap(load: Load, rng: random.Random) -> float:
    if load.process == "constant":
        return 1.0
    if load.process == "gamma":
        scale = 1 / load.burstiness
        return rng.gammavariate(load.burstiness, scale)
    return rng.expovariate(1.0)


def _stretch(load: Load, unit: float) -> float | None:
    """The time at which `unit` arrivals are expected; None after the last step."""
    if load.kind == "steps":
        return _stretch_steps(load, unit)
    low = load.rate_per_s or 0.0
    if load.ramp_to_per_s is None or load.duration_s is None:
        return unit / low
    rise = load.ramp_to_per_s - low
    slope = rise / load.duration_s
    if abs(slope) < 1e-12:
        return unit / low
    square = low * low + 2 * slope * unit
    if square < 0:
        return None
    root = math.sqrt(square)
    return (root - low) / slope


def _stretch_steps(load: Load, unit: float) -> float | None:
    start_s = 0.0
    for rate, seconds in load.steps:
        if unit < rate * seconds:
            return start_s + unit / rate
        unit -= rate * seconds
        start_s += seconds
    return None
