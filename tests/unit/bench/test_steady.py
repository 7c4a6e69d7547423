"""The window that statistics are about, on levels whose shape is known."""

from __future__ import annotations

import errno
import random

import msgspec
import pytest

from llmops_cli.bench.analysis import Repetition, analyse
from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.failure import ErrorKind, connection_failure
from llmops_cli.bench.plan import LevelDone
from llmops_cli.bench.record import Record
from llmops_cli.bench.slo import parse_slos
from llmops_cli.bench.steady import Timeline

MS = 1_000_000


def record(
    index: int,
    start_ms: float,
    ttft_ms: float,
    e2e_ms: float,
    *,
    tokens: int = 11,
    error: str | None = None,
    error_kind: ErrorKind | None = None,
) -> Record:
    start = int(start_ms * MS)
    first = start + int(ttft_ms * MS)
    end = start + int(e2e_ms * MS)
    return Record(
        index=index,
        intended_ns=start,
        sent_ns=start,
        first_ns=None if error else first,
        end_ns=None if error else end,
        done_ns=end,
        chunks=tokens,
        output_tokens=0 if error else tokens,
        error=error,
        error_kind=error_kind,
        status=503 if error else 200,
    )


def closed(streams: int, waves: int, *, cold_waves: int = 0) -> list[Record]:
    """Streams of 100 ms requests; the first `cold_waves` of each take 400 ms."""
    rng = random.Random(0)
    records = []
    for stream in range(streams):
        at = stream * 1.0
        for wave in range(waves):
            e2e = (400.0 if wave < cold_waves else 100.0) * rng.uniform(0.95, 1.05)
            records.append(record(len(records), at, e2e / 4, e2e))
            at += e2e
    return records


def test_a_closed_level_leaves_out_the_first_wave_and_the_drain() -> None:
    shape = Timeline()
    for one in closed(8, 50):
        shape.add(one)
    window = shape.window(Load(kind="closed", label="x", concurrency=8))
    assert window.found == "steady"
    assert 0.09 < window.start_s < 0.4
    assert window.end_s < 5.3


def test_a_slow_start_is_cut_off() -> None:
    load = Load(kind="closed", label="x", concurrency=8)
    level = analyse(load, [Repetition(records=lambda: closed(8, 100, cold_waves=5))])
    assert level.windows[0].start_s == pytest.approx(2.0, abs=0.5)
    assert level.e2e_ms.p99 is not None
    assert level.e2e_ms.p99 < 110
    assert level.requests_per_s == pytest.approx(80, rel=0.02)
    assert level.output_tokens_per_s == pytest.approx(880, rel=0.02)


@pytest.mark.parametrize(
    ("load", "records", "words"),
    [
        (Load(kind="burst", label="x", count=4), closed(4, 1), "a burst load has no steady state"),
        (Load(kind="closed", label="x", concurrency=8), closed(8, 1), "too few requests"),
    ],
)
def test_without_a_steady_state_everything_counts_and_the_reason_is_kept(
    load: Load, records: list[Record], words: str
) -> None:
    level = analyse(load, [Repetition(records=lambda: records)])
    assert level.windows[0].found == "whole"
    assert words in level.windows[0].reason
    assert level.measured == len(records)


def test_requests_that_pile_up_are_seen() -> None:
    records = [record(i, i * 10.0, 50 + i * 5, 100 + i * 5) for i in range(300)]
    level = analyse(
        Load(kind="rate", label="x", rate_per_s=100), [Repetition(records=lambda: records)]
    )
    assert level.saturated
    fast = [record(i, i * 10.0, 50, 100) for i in range(300)]
    assert not analyse(
        Load(kind="rate", label="x", rate_per_s=100), [Repetition(records=lambda: fast)]
    ).saturated


def test_failed_requests_count_in_every_rate_but_no_latency() -> None:
    records = closed(4, 20)
    for i in range(0, 80, 4):
        one = records[i]
        records[i] = record(i, one.intended_ns / MS, 1, 2, error=f"HTTP 503: busy {i}")
    level = analyse(
        Load(kind="closed", label="x", concurrency=4),
        [Repetition(records=lambda: records)],
        slos=parse_slos("e2e_p50=1s,error_rate=10%"),
    )
    assert (level.requests, level.errors) == (80, 20)
    assert level.error_kinds == {"HTTP 503": 20}
    assert level.e2e_ms.min is not None
    assert level.e2e_ms.min > 90
    assert [slo.met for slo in level.slos] == [True, False]
    assert level.goodput_per_s == pytest.approx(level.requests_per_s)
    assert any("25.0% of the requests failed" in note for note in level.notes)


def done(**fields: object) -> LevelDone:
    plain: dict[str, object] = {
        "cpu_s": 0.1,
        "duration_s": 10.0,
        "lags": (0, 500.0),
        "late": 0,
        "sent": 80,
        "reconnects": 0,
        "peak_rss_bytes": 1,
        "stopped": False,
        "max_in_flight": 4,
    }
    return LevelDone(**{**plain, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"cpu_s": 9.5}, "closed", "the client was the bottleneck: a worker used 95% of a core"),
        ({"lags": (800, 90.0, 0, 10.0)}, "closed", "the client was late: its timers lag"),
        ({"late": 3}, "rate", "of the arrivals left over 10 ms late"),
    ],
)
def test_a_client_that_was_the_limit_makes_the_level_invalid(
    fields: dict[str, object], kind: str, words: str
) -> None:
    load = Load(kind=kind, label="x", concurrency=4, rate_per_s=1.0)  # type: ignore[arg-type]
    good = analyse(load, [Repetition(records=lambda: closed(4, 20), done=[done()])])
    assert good.valid, good.invalid_reasons
    bad = analyse(load, [Repetition(records=lambda: closed(4, 20), done=[done(**fields)])])
    assert not bad.valid
    assert words in bad.invalid_reasons[0]


def test_a_level_without_a_success_is_invalid() -> None:
    records = [record(i, i, 1, 2, error="connection refused") for i in range(9)]
    level = analyse(
        Load(kind="closed", label="x", concurrency=1), [Repetition(records=lambda: records)]
    )
    assert level.invalid_reasons == ["no request succeeded"]
    assert level.ttft_ms.p50 is None
    assert level.requests_per_s == 0


def test_failed_requests_are_counted_by_their_kind_and_not_by_their_words() -> None:
    records = [
        record(0, 0, 1, 2, error="busy", error_kind=ErrorKind.HTTP),
        record(1, 1, 1, 2, error="no luck", error_kind=ErrorKind.REFUSED),
        record(2, 2, 1, 2, error="timeout: written before errors had kinds"),
    ]
    level = analyse(
        Load(kind="closed", label="x", concurrency=1), [Repetition(records=lambda: records)]
    )
    assert level.error_kinds == {"HTTP 503": 1, "connection refused": 1, "timeout": 1}


def test_records_of_a_run_before_errors_had_kinds_load() -> None:
    (*whole, kind, _hidden, _texts) = msgspec.to_builtins(
        record(0, 0, 1, 2, error="timeout: no end")
    )
    assert kind is None
    old = msgspec.json.decode(msgspec.json.encode(whole), type=Record)
    assert old.error == "timeout: no end"
    assert old.error_kind is None


def test_a_client_without_open_files_makes_the_level_invalid() -> None:
    failure = connection_failure(OSError(errno.EMFILE, "Too many open files"))
    records = closed(4, 20)
    records[0] = record(0, 1, 1, 2, error=failure.text, error_kind=failure.kind)
    level = analyse(
        Load(kind="closed", label="x", concurrency=4), [Repetition(records=lambda: records)]
    )
    assert level.invalid_reasons == ["the client ran out of open files (ulimit -n)"]


def test_cost_is_what_an_hour_costs_over_what_an_hour_brings() -> None:
    load = Load(kind="closed", label="x", concurrency=8)
    repetition = Repetition(records=lambda: closed(8, 100))
    level = analyse(load, [repetition], usd_per_hour=3.6)
    assert level.usd_per_million_tokens == pytest.approx(3.6e6 / (880 * 3600), rel=0.02)
    assert level.usd_per_1k_requests == pytest.approx(3.6e3 / (80 * 3600), rel=0.02)
    assert analyse(load, [repetition]).usd_per_million_tokens is None


def test_where_nothing_came_there_is_no_price() -> None:
    failed = [record(index, 100.0 * index, 10, 50, error="no") for index in range(9)]
    load = Load(kind="closed", label="x", concurrency=1)
    level = analyse(load, [Repetition(records=lambda: failed)], usd_per_hour=3.6)
    assert (level.usd_per_million_tokens, level.usd_per_1k_requests) == (None, None)
