"""What is counted over a level's requests besides their latencies."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from llmops_cli.bench.failure import ErrorKind
from llmops_cli.bench.record import Record
from llmops_cli.bench.report import Window
from llmops_cli.bench.steady import BIN_NS, Timeline
from llmops_cli.core.sample import ratio_interval

SLICES = 32
"""Of a window, whose counts say how sure a rate is."""
SHORT_ANSWERS = 0.95
WRONG_PROMPTS = 0.05
REQUESTS = "requests_per_s"
TOKENS = "output_tokens_per_s"

Bins = list[float]


class Failures:
    """Failed requests by their kind."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.out_of_files = False

    def add(self, record: Record) -> None:
        kind = _kind_of(record)
        self.kinds[kind] += 1
        if record.error_kind is ErrorKind.OPEN_FILES:
            self.out_of_files = True

    @property
    def count(self) -> int:
        return self.kinds.total()

    def by_kind(self) -> dict[str, int]:
        """Most frequent first."""
        return dict(self.kinds.most_common())

    def words(self) -> str:
        """The most frequent kinds."""
        frequent = self.kinds.most_common(3)
        return ", ".join(f"{kind} ({count})" for kind, count in frequent)


def _kind_of(record: Record) -> str:
    """What a failed request is counted by.

    One that was written before errors had kinds goes by the beginning of its text.
    """
    if record.error_kind is None:
        text = record.error or ""
        kind, _, _ = text.partition(":")
        return kind
    if record.error_kind is ErrorKind.HTTP:
        return f"HTTP {record.status}"
    return record.error_kind.value


class TokenCounts:
    """Tokens of the successful requests that are measured."""

    def __init__(self) -> None:
        self.input = 0
        self.output = 0
        self.cached = 0
        self._by_chunks = 0
        self._output_wanted = 0
        self._input_wanted = 0
        self._input_of_wanted = 0

    def add(self, record: Record) -> None:
        self.input += record.input_tokens
        self.output += record.output_tokens
        self.cached += record.cached_tokens
        self._by_chunks += record.counted_by == "chunks"
        self._output_wanted += record.output_wanted
        if record.input_wanted:
            self._input_wanted += record.input_wanted
            self._input_of_wanted += record.input_tokens

    def notes(self) -> Iterator[str]:
        """What is odd about them."""
        if self._by_chunks:
            yield "the server sends no usage: output tokens are counted chunks"
        enough = SHORT_ANSWERS * self._output_wanted
        if self._output_wanted and self.output < enough:
            share = self.output / self._output_wanted
            yield f"answers ended early: {share:.0%} of the wanted output tokens came"
        if self._input_wanted and self._input_of_wanted:
            share = self._input_of_wanted / self._input_wanted
            if abs(share - 1) > WRONG_PROMPTS:
                yield f"prompts had {share:.0%} of the wanted tokens"


class WindowRates:
    """Ends and tokens inside the windows, whole and in slices for the interval."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.totals = {REQUESTS: 0.0, TOKENS: 0.0}
        self._slices: dict[str, Bins] = {REQUESTS: [], TOKENS: []}
        self.each: dict[str, Bins] = {REQUESTS: [], TOKENS: []}
        """The rates of each repetition."""

    def add(self, timeline: Timeline, window: Window) -> None:
        first = int(window.start_s * 1e9) // BIN_NS
        last = int(window.end_s * 1e9) // BIN_NS
        seconds = window.end_s - window.start_s
        seconds = max(seconds, 1e-9)
        self.seconds += seconds
        inside = slice(first, last + 1)
        served = timeline.served()
        tokens = timeline.tokens()
        self._add(REQUESTS, served[inside], seconds)
        self._add(TOKENS, tokens[inside], seconds)

    def _add(
        self,
        name: str,
        bins: list[float],
        seconds: float,
    ) -> None:
        total = sum(bins)
        self.totals[name] += total
        self.each[name].append(total / seconds)
        size = math.ceil(len(bins) / SLICES)
        slices = self._slices[name]
        for start in range(0, len(bins), max(1, size)):
            part = bins[start : start + size]
            slices.append(sum(part))

    def per_s(self, name: str) -> float:
        return self.of_whole(self.totals[name])

    def of_whole(self, total: float) -> float:
        """Something counted over all windows, a second."""
        if not self.seconds:
            return 0.0
        return total * (1 / self.seconds)

    def intervals(self) -> dict[str, tuple[float, float]]:
        found = {}
        for name, tops in self._slices.items():
            interval = ratio_interval(tops, self.seconds)
            if interval is not None:
                found[name] = interval
        return found
