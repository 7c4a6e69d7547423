"""Rates against truths: streams that are always busy serve their number over the mean time."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable

import numpy as np
import pytest

from llmops_cli.bench.analysis import Repetition, analyse
from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.record import Record
from llmops_cli.bench.report import Window
from llmops_cli.bench.slo import parse_slos
from llmops_cli.bench.window_rates import WindowRates
from tests.unit.series import SPREAD, autoregressive, in_phases
from tests.unit.series import Draw as SeriesDraw

MS = 1_000_000
TOKENS = 11
Draw = Callable[[random.Random], float]


def answer(
    index: int,
    start_ms: float,
    e2e_ms: float,
    *,
    hidden: int = 0,
) -> Record:
    start_ns = int(start_ms * MS)
    end_ns = int((start_ms + e2e_ms) * MS)
    return Record(
        index=index,
        intended_ns=start_ns,
        sent_ns=start_ns,
        first_ns=start_ns + (end_ns - start_ns) // 4,
        end_ns=end_ns,
        done_ns=end_ns,
        chunks=TOKENS,
        input_tokens=7,
        output_tokens=TOKENS + hidden,
        hidden_tokens=hidden,
        status=200,
    )


def busy_streams(
    streams: int,
    count: int,
    draw: Draw,
    rng: random.Random,
) -> list[Record]:
    """A closed load: who is free takes the next request."""
    free = [stream * 1.0 for stream in range(streams)]
    records = []
    for index in range(count):
        start_ms = heapq.heappop(free)
        e2e_ms = draw(rng)
        records.append(answer(index, start_ms, e2e_ms))
        heapq.heappush(free, start_ms + e2e_ms)
    return records


def window_of(streams: int, records: list[Record]) -> Window:
    """From the end of the first wave to the last send."""
    ends = sorted(record.done_ns for record in records)
    last = max(record.intended_ns for record in records)
    return Window(start_s=ends[streams - 1] / 1e9, end_s=last / 1e9, found="steady")


def rates_of(streams: int, records: list[Record]) -> WindowRates:
    load = Load(kind="closed", label="x", concurrency=streams)
    window = window_of(streams, records)
    rates = WindowRates(load)
    counted = rates.begin(window, range(64))
    width_s = window.end_s - window.start_s
    for record in records:
        place = (record.intended_ns / 1e9 - window.start_s) / width_s
        block = min(63, int(place * 64)) if 0 <= place <= 1 else None
        counted.add(record, block)
    rates.end(counted)
    return rates


@pytest.mark.parametrize("streams", [1, 4, 16])
@pytest.mark.parametrize("e2e_ms", [37.3, 400.0])
def test_a_constant_server_has_its_rate_to_the_last_digit(streams: int, e2e_ms: float) -> None:
    """Windows that count in whole bins read high, and never low."""
    records = busy_streams(streams, 40 * streams, lambda _: e2e_ms, random.Random(0))
    load = Load(kind="closed", label="x", concurrency=streams)
    level = analyse(load, [Repetition(records=lambda: records)])
    truth = streams / e2e_ms * 1e3
    assert level.requests_per_s == pytest.approx(truth, rel=0.003)
    assert level.output_tokens_per_s == pytest.approx(truth * TOKENS, rel=0.003)
    both = TOKENS + 7
    assert level.total_tokens_per_s == pytest.approx(truth * both, rel=0.003)


SHAPES: dict[str, tuple[Draw, float]] = {
    "lognormal": (lambda rng: 100 * rng.lognormvariate(0, 0.5), 113.315),
    "bimodal": (lambda rng: 500.0 if rng.random() < 0.3 else 100.0, 220.0),
    "heavy-tailed": (lambda rng: 100 * rng.paretovariate(3), 150.0),
}


@pytest.mark.parametrize("name", SHAPES)
def test_intervals_of_rates_cover_and_lean_to_no_side(name: str) -> None:
    draw, mean_ms = SHAPES[name]
    covered = 0
    ratios = []
    cells = [(1, 60), (4, 60), (16, 100), (4, 250)]
    rounds = 100
    for streams, count in cells:
        truth = streams / mean_ms * 1e3
        for seed in range(rounds):
            records = busy_streams(streams, count, draw, random.Random(f"{streams}/{seed}"))
            rates = rates_of(streams, records)
            low, high = rates.intervals()["requests_per_s"]
            covered += low <= truth <= high
            ratios.append(rates.per_s("requests_per_s") / truth)
    assert 0.92 < covered / (rounds * len(cells)) < 0.98
    high_cells = sum(ratio > 1 for ratio in ratios) / len(ratios)
    assert 0.4 < high_cells < 0.6
    assert sum(ratios) / len(ratios) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("draw", [autoregressive, in_phases])
def test_intervals_of_rates_cover_where_neighbours_are_alike(draw: SeriesDraw) -> None:
    """A server that is slow for a while: one block tells much of what the next will be."""
    rng = np.random.default_rng(4)
    mean_ms = 100 * math.exp(SPREAD**2 / 2)
    covered = 0
    cells = [(1, 250), (4, 640)]
    rounds = 150
    for streams, count in cells:
        truth = streams / mean_ms * 1e3
        for _ in range(rounds):
            values = iter((100 * np.exp(SPREAD * draw(rng, count))).tolist())
            records = busy_streams(streams, count, lambda _, v=values: next(v), random.Random(0))
            low, high = rates_of(streams, records).intervals()["requests_per_s"]
            covered += low <= truth <= high
    assert 0.9 < covered / (rounds * len(cells)) < 0.99


def test_few_requests_have_a_rate_without_an_interval() -> None:
    few = busy_streams(1, 30, lambda _: 100.0, random.Random(0))
    rates = rates_of(1, few)
    assert rates.per_s("requests_per_s") == pytest.approx(10, rel=0.001)
    assert rates.intervals() == {}


def test_goodput_is_what_met_every_objective_and_has_an_interval() -> None:
    records = busy_streams(4, 200, lambda rng: rng.choice([100.0, 300.0]), random.Random(1))
    load = Load(kind="closed", label="x", concurrency=4)
    slos = parse_slos("e2e_p90=200ms")
    level = analyse(load, [Repetition(records=lambda: records)], slos=slos)
    assert level.goodput_per_s is not None
    low, high = level.rates_ci95["goodput_per_s"]
    assert low < level.goodput_per_s < high
    assert low < 10 < high  # half of four streams over 0.2 s
    without = analyse(load, [Repetition(records=lambda: records)])
    assert without.goodput_per_s is None
    assert "goodput_per_s" not in without.rates_ci95


def test_hidden_tokens_are_a_rate_of_their_own() -> None:
    records = [answer(i, i * 100.0, 100.0, hidden=40) for i in range(50)]
    load = Load(kind="closed", label="x", concurrency=1)
    level = analyse(load, [Repetition(records=lambda: records)])
    assert level.output_tokens_per_s == pytest.approx(TOKENS * 10, rel=0.01)
    assert level.hidden_tokens_per_s == pytest.approx(400, rel=0.01)
    assert level.tpot_ms.p50 == pytest.approx(75 / (TOKENS - 1))
    assert level.normalized_ms.p50 == pytest.approx(100 / TOKENS)
    assert level.hidden_tokens == 40 * level.measured
    assert level.output_tokens == (40 + TOKENS) * level.measured
    assert any("thought and not sent" in note for note in level.notes)
