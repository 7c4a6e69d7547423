"""Members of upstreams as they are now, over all workers: for metrics and the dashboard.

Each worker writes a file of its own. One that has left is in none of them, so that there are as
many series as members, however often they change; the library's own series would stay for ever.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

LABELS = ("upstream", "member")
FILE = "members_{pid}.json"


class MemberState(msgspec.Struct, frozen=True, kw_only=True):
    """`breaker`: how bad it is. `leaving`: it ends what it has begun."""

    upstream: str
    member: str
    up: bool
    breaker: int
    in_flight: int
    outstanding: int
    answers: int
    failures: int
    leaving: bool = False


class MemberFamily(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    field: str
    merged: str
    counts: bool = False
    labels: tuple[str, ...] = LABELS


MEMBERS = {
    "member_up": MemberFamily(
        text="Whether checks or traffic say so",
        field="up",
        merged="livemin",
    ),
    "member_breaker": MemberFamily(
        text="0 closed, 1 half open, 2 open",
        field="breaker",
        merged="livemax",
    ),
    "member_in_flight": MemberFamily(
        text="Requests under way there",
        field="in_flight",
        merged="livesum",
    ),
    "member_outstanding_tokens": MemberFamily(
        text="Being worked on",
        field="outstanding",
        merged="livesum",
    ),
    "member_answers": MemberFamily(
        text="Answers that it has begun, while it was known",
        field="answers",
        merged="livesum",
        counts=True,
    ),
    "member_failures": MemberFamily(
        text="Failed attempts there",
        field="failures",
        merged="livesum",
        counts=True,
    ),
}
_rows = msgspec.json.Decoder(list[MemberState])


class MemberBoard(Collector):
    """`folder`: which all workers share; None: there is one, who keeps them in mind."""

    def __init__(self, prefix: str, folder: str | None) -> None:
        self._prefix = prefix
        self._folder = None if folder is None else Path(folder)
        self._mine: list[MemberState] = []
        self._written = b""

    def tell(self, rows: list[MemberState]) -> None:
        self._mine = rows
        if self._folder is None:
            return
        raw = msgspec.json.encode(rows)
        if raw == self._written:
            return
        path = self._folder / FILE.format(pid=os.getpid())
        beside = path.with_suffix(".new")
        with suppress(OSError):  # a full disk: the others see what was
            beside.write_bytes(raw)
            beside.replace(path)
            self._written = raw

    def rows(self) -> list[MemberState]:
        """One for each member, of all workers."""
        if self._folder is None:
            return self._mine
        merged = dict[tuple[str, str], MemberState]()
        for row in self._all():
            key = (row.upstream, row.member)
            known = merged.get(key)
            merged[key] = row if known is None else _together(known, row)
        return [merged[key] for key in sorted(merged)]

    def _all(self) -> Iterator[MemberState]:
        assert self._folder is not None
        for path in sorted(self._folder.glob(FILE.format(pid="*"))):
            with suppress(OSError, msgspec.DecodeError):
                yield from _rows.decode(path.read_bytes())

    def collect(self) -> Iterable[Metric]:
        rows = self.rows()
        for name, family in MEMBERS.items():
            kind: Any = CounterMetricFamily if family.counts else GaugeMetricFamily
            metric = kind(self._prefix + name, family.text, labels=family.labels)
            for row in rows:
                value = float(getattr(row, family.field))
                metric.add_metric((row.upstream, row.member), value)
            yield metric

    def describe(self) -> Iterable[Metric]:
        """Nothing is collected only to be registered."""
        return ()


def _together(one: MemberState, other: MemberState) -> MemberState:
    """It has left when all of them say so: workers look it up at their own times."""
    return MemberState(
        upstream=one.upstream,
        member=one.member,
        up=one.up and other.up,
        breaker=max(one.breaker, other.breaker),
        in_flight=one.in_flight + other.in_flight,
        outstanding=one.outstanding + other.outstanding,
        answers=one.answers + other.answers,
        failures=one.failures + other.failures,
        leaving=one.leaving and other.leaving,
    )
