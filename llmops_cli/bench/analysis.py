"""Records to a level's metrics, exactly as docs/METRICS.md defines them.

In memory that does not grow with them: each repetition is read twice, once for its course over
time, once for the statistics of its window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.client import client_limits, client_stats
from llmops_cli.bench.counts import Failures, TokenCounts
from llmops_cli.bench.plan import LevelDone
from llmops_cli.bench.record import METRICS, Record, queue_delay_ms
from llmops_cli.bench.report import ClientStats, Level, Point, SloResult, Window
from llmops_cli.bench.series import SampledAt, Series
from llmops_cli.bench.slo import Slo
from llmops_cli.bench.steady import Timeline
from llmops_cli.bench.window_rates import (
    GOODPUT,
    HIDDEN,
    INPUT,
    REQUESTS,
    TEXTS,
    TOKENS,
    WindowRates,
)
from llmops_cli.core.sample import BLOCKS, Sample
from llmops_cli.core.shares import share_in_blocks
from llmops_cli.sizing.cost import usd_per_million, usd_per_request

BUSY_STREAMS = 0.9
QUEUE_DELAY = "queue_delay_ms"
"""The metric that failed requests have too."""
OF_SUCCESSES = {name: metric for name, metric in METRICS.items() if name != QUEUE_DELAY}

Records = Callable[[], Iterable[Record]]
"""Reads a repetition's records from the start, each time it is called."""


class Repetition(msgspec.Struct, kw_only=True):
    """One run of a level."""

    records: Records
    done: list[LevelDone] = []
    samples: list[SampledAt] = []
    aborted: str | None = None


def analyse(
    load: Load,
    repetitions: Sequence[Repetition],
    *,
    slos: Sequence[Slo] = (),
    notes: Sequence[str] = (),
    max_error_rate: float | None = None,
    usd_per_hour: float | None = None,
) -> Level:
    """One level from all its repetitions.

    Failed requests count as requests, as errors and as missed objectives. `usd_per_hour`: of all
    that serves.
    """
    analysis = _Analysis(load, slos, max_error_rate)
    for number, repetition in enumerate(repetitions):
        analysis.add(number, repetition)
    level = analysis.level(repetitions, notes)
    if usd_per_hour is None:
        return level
    return _priced(level, usd_per_hour)


def _priced(level: Level, usd_per_hour: float) -> Level:
    """What came out in the seconds that count, at what they cost; nothing came: no price."""
    per_million = None
    per_1k = None
    if level.output_tokens_per_s:
        per_million = usd_per_million(usd_per_hour, level.output_tokens_per_s)
    if level.requests_per_s:
        per_1k = 1e3 * usd_per_request(usd_per_hour, level.requests_per_s)
    return msgspec.structs.replace(
        level,
        usd_per_million_tokens=per_million,
        usd_per_1k_requests=per_1k,
    )


class _Analysis:
    def __init__(
        self,
        load: Load,
        slos: Sequence[Slo],
        max_error_rate: float | None,
    ) -> None:
        self._load = load
        self._slos = slos
        self._max_error_rate = max_error_rate
        self._samples = {name: Sample() for name in METRICS}
        self._itl = Sample()
        self._hits: list[Counter[int]] = [Counter() for _ in slos]
        self._requests = 0
        self._tried: Counter[int] = Counter()
        self._measured = 0
        self._failures = Failures()
        self._tokens = TokenCounts()
        self._rates = WindowRates(load, has_objectives=bool(slos))
        self._windows: list[Window] = []
        self._saturated = False
        self._series: list[Point] = []
        self._step_s = 1.0

    def add(self, number: int, repetition: Repetition) -> None:
        timeline = Timeline()
        for record in repetition.records():
            timeline.add(record)
        window = timeline.window(self._load)
        self._windows.append(window)
        if self._load.kind == "rate":
            self._saturated |= timeline.is_growing(window)
        blocks = _WindowBlocks(self._load, window, timeline.good, first=number * BLOCKS)
        counted = self._rates.begin(window, blocks.numbers)
        series = None
        if number == 0:  # it shows one repetition, not their sum
            series = Series(timeline)
        for record in repetition.records():
            self._requests += 1
            if record.error is not None:
                self._failures.add(record)
            if series is not None:
                series.add(record)
            block = blocks.block_of(record)
            hits = [slo.met_by(record) for slo in self._slos]
            is_met = bool(hits) and all(hits)
            counted.add(record, block, is_met=is_met)
            if block is not None:
                self._measure(record, block, hits)
        self._rates.end(counted)
        if series is not None:
            self._step_s = series.step_s
            self._series = series.points(repetition.samples)

    def _measure(
        self,
        record: Record,
        block: int,
        hits: Sequence[bool],
    ) -> None:
        """A request inside the window, and which objectives it met."""
        self._tried[block] += 1
        for place, hit in enumerate(hits):
            self._hits[place][block] += hit
        delay_ms = queue_delay_ms(record)
        self._samples[QUEUE_DELAY].add(delay_ms, block)
        if record.error is not None:
            return
        self._measured += 1
        for name, metric in OF_SUCCESSES.items():
            value = metric(record)
            if value is not None:
                self._samples[name].add(value, block)
        self._itl.add_buckets(record.gaps, block)
        self._tokens.add(record)

    def level(self, repetitions: Sequence[Repetition], notes: Sequence[str]) -> Level:
        found = {}
        for name, sample in self._samples.items():
            found[name] = sample.distribution()
        done = [repetition.done for repetition in repetitions]
        client = client_stats(done)
        tokens_per_s = self._rates.per_s(TOKENS)
        hidden_per_s = self._rates.per_s(HIDDEN)
        input_per_s = self._rates.per_s(INPUT)
        own = list(self._own_reasons(repetitions))
        first_p50_ms = found["ttft_ms"].p50 or found["e2e_ms"].p50
        load = self._load
        limits = list(client_limits(load, client, done, ttft_p50_ms=first_p50_ms))
        client = msgspec.structs.replace(client, was_limit=bool(limits) and not own)
        reasons = [*own, *limits]
        all_notes = [*notes, *self._own_notes(client)]
        rates_each = {}
        if len(repetitions) > 1:
            rates_each = self._rates.each
        return Level(
            concurrency=self._load.concurrency,
            rate_per_s=self._load.rate_per_s,
            label=self._load.label,
            kind=self._load.kind,
            repetitions=len(repetitions),
            requests=self._requests,
            errors=self._failures.count,
            measured=self._measured,
            duration_s=self._rates.seconds,
            ttft_ms=found["ttft_ms"],
            tpot_ms=found["tpot_ms"],
            itl_ms=self._itl.distribution(),
            e2e_ms=found["e2e_ms"],
            normalized_ms=found["normalized_ms"],
            queue_delay_ms=found[QUEUE_DELAY],
            connect_ms=found["connect_ms"],
            requests_per_s=self._rates.per_s(REQUESTS),
            output_tokens_per_s=tokens_per_s,
            hidden_tokens_per_s=hidden_per_s,
            texts_per_s=self._rates.per_s(TEXTS) or None,
            total_tokens_per_s=tokens_per_s + hidden_per_s + input_per_s,
            rates_ci95=self._rates.intervals(),
            rates_each=rates_each,
            input_tokens=self._tokens.input,
            output_tokens=self._tokens.output,
            hidden_tokens=self._tokens.hidden,
            cached_tokens=self._tokens.cached,
            goodput_per_s=self._goodput_per_s(),
            slos=self._slo_results(),
            windows=self._windows,
            client=client,
            valid=not reasons,
            invalid_reasons=reasons,
            error_kinds=self._failures.by_kind(),
            saturated=self._saturated,
            notes=all_notes,
            series_step_s=self._step_s,
            series=self._series,
        )

    def _goodput_per_s(self) -> float | None:
        """Requests that met every objective; None without any."""
        if not self._slos:
            return None
        return self._rates.per_s(GOODPUT)

    def _slo_results(self) -> list[SloResult]:
        results = []
        for slo, hits in zip(self._slos, self._hits, strict=True):
            share = share_in_blocks(hits, self._tried)
            result = SloResult(
                text=slo.text,
                share=share.value,
                share_ci95=share.ci95,
                needed=slo.share,
                met=share.value >= slo.share,
            )
            results.append(result)
        return results

    def _own_reasons(self, repetitions: Sequence[Repetition]) -> Iterator[str]:
        """Why the numbers must not be trusted, whatever the client did."""
        for repetition in repetitions:
            if repetition.aborted:
                yield repetition.aborted
        if self._requests == self._failures.count:
            yield "no request succeeded"
        elif self._max_error_rate is not None:
            share = self._failures.count / max(1, self._requests)
            if share > self._max_error_rate:
                yield (
                    f"{share:.1%} of the requests failed, --max-error-rate is "
                    f"{self._max_error_rate:.4g}: {self._failures.words()}"
                )
        if self._failures.out_of_files:
            yield "the client ran out of open files (ulimit -n)"

    def _own_notes(self, client: ClientStats) -> Iterator[str]:
        if self._failures.count:
            share = self._failures.count / self._requests
            yield f"{share:.1%} of the requests failed: {self._failures.words()}"
        yield from self._tokens.notes()
        streams = self._load.concurrency or 0
        busy = client.max_in_flight
        if client.sent and busy < BUSY_STREAMS * streams:
            yield f"at most {busy} of the {streams} streams were busy at once"
        if self._saturated:
            yield "requests piled up: the server cannot keep this rate"


class _WindowBlocks:
    """Which block of time a request of the window is in."""

    def __init__(
        self,
        load: Load,
        window: Window,
        good: float,
        *,
        first: int,
    ) -> None:
        """`first`: the number of the first of them."""
        self._first = first
        self._is_burst = load.kind == "burst"
        self._start_ns = int(window.start_s * 1e9)
        self._end_ns = int(window.end_s * 1e9)
        wanted = min(BLOCKS, round(good))
        self._blocks = max(2, wanted)
        width_ns = self._end_ns - self._start_ns + 1
        self._scale = self._blocks / max(1, width_ns)

    @property
    def numbers(self) -> range:
        return range(self._first, self._first + self._blocks)

    def block_of(self, record: Record) -> int | None:
        """None outside the window."""
        begun_ns = max(0, record.intended_ns)
        if not self._start_ns <= begun_ns <= self._end_ns:
            return None
        if self._is_burst:
            return self._first + record.index % self._blocks
        since_ns = begun_ns - self._start_ns
        return self._first + int(since_ns * self._scale)
