"""When a level is given up: the kind of its errors decides, not their words."""

from __future__ import annotations

import msgspec
import pytest

from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.failure import ErrorKind
from llmops_cli.bench.plan import Tick
from llmops_cli.bench.watch import LevelWatch

LOAD = Load(kind="closed", label="4 streams", concurrency=4, count=1000)


class Shown:
    """Keeps the last line."""

    note = ""
    share = 0.0

    def update(self, stage: str, done: float, total: float = 0, note: str = "") -> None:
        self.note = note
        self.share = done / total

    def say(self, text: str) -> None:
        raise AssertionError(text)

    def warn(self, text: str) -> None:
        raise AssertionError(text)


def failed(count: int, kind: ErrorKind, text: str) -> Tick:
    return Tick(
        done=count,
        errors=count,
        tokens=0,
        in_flight=4,
        ttfts_ms=(),
        last_error=text,
        last_kind=kind,
    )


GOOD = Tick(done=3, errors=0, tokens=30, in_flight=4, ttfts_ms=(10.0, 12.0))


@pytest.mark.parametrize(
    ("kind", "text", "is_hopeless"),
    [
        (ErrorKind.REFUSED, "some other words", True),
        (ErrorKind.HTTP, "connection refused, says the proxy", False),
        (ErrorKind.RESET, "connection reset", False),
    ],
)
def test_a_server_that_refuses_every_connection_is_gone(
    kind: ErrorKind, text: str, is_hopeless: bool
) -> None:
    watch = LevelWatch(LOAD, 0, 1, Shown())
    watch.tick(failed(500, kind, text))
    assert bool(watch.hopeless()) is is_hopeless


def test_one_good_answer_gives_hope() -> None:
    shown = Shown()
    watch = LevelWatch(LOAD, 0, 1, shown)
    watch.tick(failed(60, ErrorKind.REFUSED, "connection refused"))
    watch.tick(GOOD)
    watch.tick(failed(60, ErrorKind.REFUSED, "connection refused"))
    assert watch.hopeless() is None
    assert "120 errors (connection refused)" in shown.note
    assert "TTFT p95 12 ms" in shown.note


class Clock:
    """What `time.monotonic` says, so that no test waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr("time.monotonic", lambda: self.now_s)


def test_a_level_of_some_seconds_knows_its_end_from_the_first_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    shown = Shown()
    load = Load(kind="rate", label="2/s", rate_per_s=2.0, duration_s=90.0)
    watch = LevelWatch(load, 0, 1, shown)
    assert shown.note == "ETA 1:30"
    clock.now_s += 30
    watch.tick(GOOD)
    assert "ETA 1:00" in shown.note


def test_the_first_answer_of_many_streams_is_no_slow_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen streams of 10 s a request have 100 requests done after 62 s."""
    clock = Clock(monkeypatch)
    shown = Shown()
    load = Load(kind="closed", label="16 streams", concurrency=16, count=100, least_s=3.0)
    watch = LevelWatch(load, 0, 1, shown)
    assert shown.note == ""
    clock.now_s += 10
    one = Tick(done=1, errors=0, tokens=9, in_flight=16, ttfts_ms=())
    watch.tick(one)
    assert "ETA 1:41" in shown.note
    watch.tick(msgspec.structs.replace(one, done=15))
    assert "ETA 0:32" in shown.note


def test_a_level_that_goes_on_for_its_time_is_not_done_before() -> None:
    shown = Shown()
    load = Load(kind="closed", label="1 stream", concurrency=1, count=4, least_s=60.0)
    watch = LevelWatch(load, 0, 1, shown)
    watch.tick(msgspec.structs.replace(GOOD, done=9))
    assert shown.share < 0.1
    watch.end()
    assert shown.share == 1


def test_so_many_failed_requests_end_the_run() -> None:
    watch = LevelWatch(LOAD, 0, 1, Shown(), abort_after=10)
    watch.tick(failed(9, ErrorKind.HTTP, "HTTP 500: no"))
    assert watch.beyond_limit() is None
    watch.tick(failed(1, ErrorKind.HTTP, "HTTP 500: no"))
    assert watch.hopeless() is None
    assert watch.beyond_limit() == "10 requests failed, --abort-after is 10 (HTTP 500: no)"


def test_a_rate_that_counts_requests_knows_how_long_they_take() -> None:
    shown = Shown()
    load = Load(kind="rate", label="40/s", rate_per_s=40.0, count=120, duration_s=120.0)
    LevelWatch(load, 0, 1, shown)
    assert shown.note == "ETA 0:03"


def test_a_rate_of_a_few_seconds_does_not_wait_for_more_arrivals() -> None:
    """A search counts the requests that it needs, and ends a level at --duration-s."""
    shown = Shown()
    load = Load(kind="rate", label="1/s", rate_per_s=1.0, count=74, duration_s=3.0)
    LevelWatch(load, 0, 1, shown)
    assert shown.note == "ETA 0:03"


def test_a_slow_servers_speed_has_a_decimal(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    shown = Shown()
    watch = LevelWatch(LOAD, 0, 1, shown)
    slow = msgspec.structs.replace(GOOD, tokens=1)
    for _ in range(4):
        now_s[0] += 2.5
        watch.tick(slow)
    assert shown.note.startswith("0.7 tok/s")
