"""Records to a level's metrics, exactly as docs/METRICS.md defines them, in memory that does not
grow with them.

Each repetition is read twice: once for its shape over time, once for the statistics of its window.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.failure import ErrorKind
from llmops_cli.bench.plan import LevelDone
from llmops_cli.bench.record import METRICS, Record
from llmops_cli.bench.report import ClientStats, Level, Point, SloResult, Window
from llmops_cli.bench.slo import Slo
from llmops_cli.bench.steady import BIN_NS, SERIES_POINTS, Timeline
from llmops_cli.core.sample import BLOCKS, Sample, ratio_interval
from llmops_cli.core.stats import percentile, share_interval

LAG_LIMIT_MS = 10.0
LAG_LIMIT_SHARE = 0.1
CPU_LIMIT = 0.9
LATE_LIMIT = 0.01
FEWEST_LAGS = 50
"""A second of the timer: of fewer samples p95 is an accident."""
TTFTS_A_POINT = 200

Records = Callable[[], Iterable[Record]]
"""Reads a repetition's records from the start, each time it is called."""


class Repetition(msgspec.Struct, kw_only=True):
    """One run of a level. `samples` are what was seen of engine and server: (seconds, engine,
    server).
    """

    records: Records
    done: list[LevelDone] = []
    samples: list[tuple[float, dict[str, float], dict[str, float]]] = []
    aborted: str | None = None


def analyse(
    load: Load,
    repetitions: Sequence[Repetition],
    *,
    slos: Sequence[Slo] = (),
    notes: Sequence[str] = (),
) -> Level:
    """One level from all its repetitions. Failed requests count as requests, as errors and as
    missed objectives.
    """
    return _Analysis(load, slos).level(repetitions, list(notes))


class _Analysis:
    def __init__(self, load: Load, slos: Sequence[Slo]) -> None:
        self._load = load
        self._slos = slos
        self._samples = {name: Sample() for name in METRICS}
        self._itl = Sample()
        self._hits = [0] * len(slos)
        self._tried = 0
        self._good = 0
        self._kinds: Counter[str] = Counter()
        self._out_of_files = False
        self._requests = self._measured = self._input = self._output = self._cached = 0
        self._by_chunks = self._short = self._ended_by_length = 0
        self._wanted = self._got = self._input_wanted = self._input_got = 0
        self._seconds = self._served = self._tokens = self._inputs = 0.0
        self._rates: dict[str, list[float]] = {"requests_per_s": [], "output_tokens_per_s": []}
        self._slices: dict[str, list[float]] = {"requests_per_s": [], "output_tokens_per_s": []}
        self._windows: list[Window] = []
        self._saturated = False
        self._series: list[Point] = []
        self._step_s = 1.0

    def level(self, repetitions: Sequence[Repetition], notes: list[str]) -> Level:
        for number, repetition in enumerate(repetitions):
            self._add(number, repetition)
        ttft = self._samples["ttft_ms"].distribution()
        per_s = 1 / self._seconds if self._seconds else 0.0
        client = _client(repetitions)
        errors = sum(self._kinds.values())
        reasons = _invalid(
            self._load,
            repetitions,
            client,
            ttft.p50,
            succeeded=self._requests - errors,
            out_of_files=self._out_of_files,
        )
        return Level(
            concurrency=self._load.concurrency,
            rate_per_s=self._load.rate_per_s,
            label=self._load.label,
            kind=self._load.kind,
            repetitions=len(repetitions),
            requests=self._requests,
            errors=errors,
            measured=self._measured,
            duration_s=self._seconds,
            ttft_ms=ttft,
            tpot_ms=self._samples["tpot_ms"].distribution(),
            itl_ms=self._itl.distribution(),
            e2e_ms=self._samples["e2e_ms"].distribution(),
            normalized_ms=self._samples["normalized_ms"].distribution(),
            queue_delay_ms=self._samples["queue_delay_ms"].distribution(),
            connect_ms=self._samples["connect_ms"].distribution(),
            requests_per_s=self._served * per_s,
            output_tokens_per_s=self._tokens * per_s,
            total_tokens_per_s=(self._tokens + self._inputs) * per_s,
            rates_ci95={
                name: ci
                for name, tops in self._slices.items()
                if (ci := ratio_interval(tops, self._seconds))
            },
            rates_each=self._rates if len(repetitions) > 1 else {},
            input_tokens=self._input,
            output_tokens=self._output,
            cached_tokens=self._cached,
            goodput_per_s=self._served * per_s * self._good / max(1, self._measured)
            if self._slos
            else None,
            slos=[self._slo(slo, hits) for slo, hits in zip(self._slos, self._hits, strict=True)],
            windows=self._windows,
            client=client,
            valid=not reasons,
            invalid_reasons=reasons,
            error_kinds=dict(self._kinds.most_common()),
            saturated=self._saturated,
            notes=notes + self._own_notes(errors, client),
            series_step_s=self._step_s,
            series=self._series,
        )

    def _slo(self, slo: Slo, hits: int) -> SloResult:
        share = hits / self._tried if self._tried else 0.0
        return SloResult(
            text=slo.text,
            share=share,
            share_ci95=share_interval(hits, self._tried),
            needed=slo.share,
            met=share >= slo.share,
        )

    def _add(self, number: int, repetition: Repetition) -> None:
        shape = Timeline()
        for record in repetition.records():
            shape.add(record)
        window = shape.window(self._load)
        self._windows.append(window)
        self._saturated |= self._load.kind == "rate" and shape.is_growing(window)
        self._count_rates(shape, window)
        first = number == 0  # the series shows one repetition, not their sum
        series = _Series(shape) if first else None
        start_ns = int(window.start_s * 1e9)
        end_ns = int(window.end_s * 1e9)
        blocks = max(2, min(BLOCKS, round(shape.good)))
        scale = blocks / max(1, end_ns - start_ns + 1)
        for record in repetition.records():
            self._requests += 1
            if record.error is not None:
                self._kinds[kind_of(record)] += 1
                self._out_of_files |= record.error_kind is ErrorKind.OPEN_FILES
            if series is not None:
                series.add(record)
            if not start_ns <= max(0, record.intended_ns) <= end_ns:
                continue
            place = (
                record.index % blocks
                if self._load.kind == "burst"
                else int((record.intended_ns - start_ns) * scale)
            )
            self._measure(record, number * BLOCKS + max(0, place))
        if series is not None:
            self._step_s = series.step_s
            self._series = series.points(repetition.samples)

    def _count_rates(self, shape: Timeline, window: Window) -> None:
        """Ends and tokens inside the window, whole and in slices for the interval."""
        low = int(window.start_s * 1e9) // BIN_NS
        high = int(window.end_s * 1e9) // BIN_NS + 1
        seconds = max(window.end_s - window.start_s, 1e-9)
        self._seconds += seconds
        for name, bins in (
            ("requests_per_s", shape.served()),
            ("output_tokens_per_s", shape.tokens()),
        ):
            inside = bins[low:high]
            total = sum(inside)
            if name == "requests_per_s":
                self._served += total
            else:
                self._tokens += total
            self._rates[name].append(total / seconds)
            size = max(1, -(-len(inside) // 32))
            self._slices[name] += [sum(inside[i : i + size]) for i in range(0, len(inside), size)]

    def _measure(self, record: Record, block: int) -> None:
        self._tried += 1
        hits = [slo.met_by(record) for slo in self._slos]
        for i, hit in enumerate(hits):
            self._hits[i] += hit
        self._samples["queue_delay_ms"].add(METRICS["queue_delay_ms"](record) or 0.0, block)
        if record.error is not None:
            return
        self._good += all(hits)
        self._measured += 1
        for name, metric in METRICS.items():
            if name != "queue_delay_ms" and (value := metric(record)) is not None:
                self._samples[name].add(value, block)
        gaps = record.gaps
        for i in range(0, len(gaps), 2):
            self._itl.add_bucket(int(gaps[i]), gaps[i + 1], block)
        self._input += record.input_tokens
        self._inputs += record.input_tokens
        self._output += record.output_tokens
        self._cached += record.cached_tokens
        self._by_chunks += record.counted_by == "chunks"
        self._wanted += record.output_wanted
        self._got += record.output_tokens
        if record.input_wanted:
            self._input_wanted += record.input_wanted
            self._input_got += record.input_tokens

    def _own_notes(self, errors: int, client: ClientStats) -> list[str]:
        notes = []
        if errors:
            notes.append(
                f"{errors / self._requests:.1%} of the requests failed: {_top(self._kinds)}"
            )
        if self._by_chunks:
            notes.append("the server sends no usage: output tokens are counted chunks")
        if self._wanted and self._got < 0.95 * self._wanted:
            notes.append(
                f"answers ended early: {self._got / self._wanted:.0%} of the wanted output tokens came"
            )
        if (
            self._input_wanted
            and self._input_got
            and abs(self._input_got / self._input_wanted - 1) > 0.05
        ):
            notes.append(
                f"prompts had {self._input_got / self._input_wanted:.0%} of the wanted tokens"
            )
        streams = self._load.concurrency or 0
        if client.sent and client.max_in_flight < 0.9 * streams:
            notes.append(
                f"at most {client.max_in_flight} of the {streams} streams were busy at once"
            )
        if self._saturated:
            notes.append("requests piled up: the server cannot keep this rate")
        return notes


class _Series:
    """The level at steps of a second (of more, where it is longer than SERIES_POINTS seconds)."""

    def __init__(self, shape: Timeline) -> None:
        self._shape = shape
        bins = max(len(shape.ends), len(shape.starts), 1)
        self.step_s = float(max(1, -(-bins * BIN_NS // (10**9 * SERIES_POINTS))))
        self._per = round(self.step_s * 1e9 / BIN_NS)
        self._ttfts: list[list[float]] = [[] for _ in range(-(-bins // self._per))]

    def add(self, record: Record) -> None:
        if (
            record.error is None
            and record.first_ns is not None
            and (ms := METRICS["ttft_ms"](record)) is not None
        ):
            place = min(max(0, record.intended_ns) // (self._per * BIN_NS), len(self._ttfts) - 1)
            if len(self._ttfts[place]) < TTFTS_A_POINT:
                self._ttfts[place].append(ms)

    def points(
        self, samples: Sequence[tuple[float, dict[str, float], dict[str, float]]]
    ) -> list[Point]:
        shape = self._shape
        per = self._per
        tokens = shape.tokens()
        served = shape.served()
        flying = shape.in_flight()
        seen = {int(at_s / self.step_s): (engine, server) for at_s, engine, server in samples}
        points: list[Point] = []
        for i, ttfts in enumerate(self._ttfts):
            cut = slice(i * per, (i + 1) * per)
            width = min(self.step_s, (max(len(flying), 1) * BIN_NS / 1e9) - i * self.step_s)
            if points and width < self.step_s / 2:
                break  # the last stretch is too short for a rate
            ordered = sorted(ttfts)
            engine, server = seen.get(i, ({}, {}))
            points.append(
                Point(
                    t_s=i * self.step_s,
                    requests_per_s=round(sum(served[cut]) / width, 3),
                    output_tokens_per_s=round(sum(tokens[cut]) / width, 3),
                    in_flight=round(sum(flying[cut]) / max(1, len(flying[cut])), 3),
                    errors=round(sum(shape.errors[cut])),
                    ttft_ms_p50=percentile(ordered, 50) if ordered else None,
                    ttft_ms_p95=percentile(ordered, 95) if ordered else None,
                    engine=engine,
                    server=server,
                )
            )
        return points


def kind_of(record: Record) -> str:
    """What a failed request is counted by. One that was written before errors had kinds goes by
    the beginning of its text.
    """
    if record.error_kind is None:
        return (record.error or "").split(":", maxsplit=1)[0]
    if record.error_kind is ErrorKind.HTTP:
        return f"HTTP {record.status}"
    return record.error_kind.value


def _top(kinds: Counter[str]) -> str:
    return ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common(3))


def _client(repetitions: Sequence[Repetition]) -> ClientStats:
    done = [part for repetition in repetitions for part in repetition.done]
    lags = Sample()
    for part in done:
        for i in range(0, len(part.lags), 2):
            lags.add_bucket(int(part.lags[i]), part.lags[i + 1])
    clock = time.get_clock_info("monotonic")
    source = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    kernel = f", {source.read_text().strip()}" if source.is_file() else ""
    return ClientStats(
        workers=max((len(repetition.done) for repetition in repetitions), default=0) or 1,
        cpu_s=sum(part.cpu_s for part in done),
        cpu_share=max(
            (part.cpu_s / part.duration_s for part in done if part.duration_s), default=0.0
        ),
        lag_ms=lags.distribution(),
        sent=sum(part.sent for part in done),
        late=sum(part.late for part in done),
        reconnects=sum(part.reconnects for part in done),
        max_in_flight=sum(
            part.max_in_flight for part in (repetitions[0].done if repetitions else [])
        ),
        peak_rss_bytes=max((part.peak_rss_bytes for part in done), default=None),
        clock=f"{clock.implementation}{kernel}",
    )


def _invalid(
    load: Load,
    repetitions: Sequence[Repetition],
    client: ClientStats,
    ttft_p50: float | None,
    *,
    succeeded: int,
    out_of_files: bool,
) -> list[str]:
    """Why the numbers must not be trusted; empty if they may."""
    reasons = [repetition.aborted for repetition in repetitions if repetition.aborted]
    if not succeeded:
        reasons.append("no request succeeded")
    if out_of_files:
        reasons.append("the client ran out of open files (ulimit -n)")
    limit_ms = max(LAG_LIMIT_MS, LAG_LIMIT_SHARE * (ttft_p50 or 0))
    lag = client.lag_ms.p95
    if lag is not None and lag > limit_ms and client.lag_ms.count >= FEWEST_LAGS:
        reasons.append(
            f"the client was late: its timers lag {lag:.1f} ms (p95), the limit is {limit_ms:.1f} ms"
        )
    longest_s = max((part.duration_s for r in repetitions for part in r.done), default=0.0)
    if client.cpu_share > CPU_LIMIT and longest_s > 1:
        reasons.append(
            f"the client was the bottleneck: a worker used {client.cpu_share:.0%} of a core (more --workers?)"
        )
    if load.kind != "closed" and client.sent and client.late / client.sent > LATE_LIMIT:
        reasons.append(f"{client.late / client.sent:.1%} of the arrivals left over 10 ms late")
    if time.get_clock_info("monotonic").resolution > 1e-3:
        reasons.append("the monotonic clock is coarser than 1 ms")
    return reasons
