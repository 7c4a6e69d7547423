"""When a level is given up: the kind of its errors decides, not their words."""

from __future__ import annotations

import pytest

from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.failure import ErrorKind
from llmops_cli.bench.plan import Tick
from llmops_cli.bench.watch import LevelWatch

LOAD = Load(kind="closed", label="4 streams", concurrency=4, count=1000)


class Shown:
    """Keeps the last line."""

    note = ""

    def update(self, stage: str, done: float, total: float = 0, note: str = "") -> None:
        self.note = note

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
