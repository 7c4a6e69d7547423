"""What was served a second inside a level's windows, and how sure that is."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.record import Record, visible_tokens
from llmops_cli.bench.report import Window
from llmops_cli.core.ratio import ratio_limits_95
from llmops_cli.core.significance import t_limit

REQUESTS = "requests_per_s"
TOKENS = "output_tokens_per_s"
HIDDEN = "hidden_tokens_per_s"
INPUT = "input_tokens_per_s"
TEXTS = "texts_per_s"
GOODPUT = "goodput_per_s"
RATES = (REQUESTS, TOKENS, TEXTS, GOODPUT)
"""Those with intervals, where a level has them."""
FEWEST_REQUESTS = 40
"""Of which the interval of a rate is told."""
FEWEST_REPETITIONS = 3
"""From which on their own spread is an interval."""


class WindowRates:
    """Requests and tokens over all windows of a level, each repetition with its own window."""

    def __init__(self, load: Load, *, has_objectives: bool = False) -> None:
        self._load = load
        names = [name for name in RATES if has_objectives or name != GOODPUT]
        self.seconds = 0.0
        self.totals: dict[str, float] = defaultdict(float)
        self._each: dict[str, list[float]] = {name: [] for name in names}
        self._blocks: dict[int, _Block] = {}
        self._sent = 0

    def begin(self, window: Window, blocks: Sequence[int]) -> WindowCount:
        """What counts a repetition; `blocks` are those of its window, empty ones too."""
        of_streams = self._load.kind == "closed"
        for block in blocks:
            self._blocks[block] = _Block(of_streams=of_streams)
        return WindowCount(window, self._blocks)

    def end(self, counted: WindowCount) -> None:
        self.seconds += counted.seconds
        self._sent += counted.sent
        for name, amount in counted.totals.items():
            self.totals[name] += amount
        for name, rates in self._each.items():
            rates.append(counted.totals[name] / counted.seconds)

    def per_s(self, name: str) -> float:
        if not self.seconds:
            return 0.0
        return self.totals[name] / self.seconds

    @property
    def each(self) -> dict[str, list[float]]:
        """The rates of each repetition; only vectors are made of texts."""
        has_texts = self.totals[TEXTS] > 0
        return {name: rates for name, rates in self._each.items() if has_texts or name != TEXTS}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """From the blocks of a steady load, or from repetitions where these differ more."""
        found = {}
        for name, rates in self.each.items():
            within = self._within(name)
            between = _between(rates)
            known = [limits for limits in (within, between) if limits is not None]
            if known:
                found[name] = max(known, key=_width)
        return found

    def _within(self, name: str) -> tuple[float, float] | None:
        if not self._load.is_stationary or self._sent < FEWEST_REQUESTS:
            return None
        used = [block for block in self._blocks.values() if block.seconds]
        tops = [block.amounts[name] for block in used]
        bottoms = [block.seconds for block in used]
        factors = ratio_limits_95(tops, bottoms)
        if factors is None:
            return None
        low, high = factors
        rate = self.per_s(name)
        return rate * low, rate * high


class WindowCount:
    """One repetition: what falls into its window, to the nanosecond."""

    def __init__(self, window: Window, blocks: dict[int, _Block]) -> None:
        self._start_ns = round(window.start_s * 1e9)
        self._end_ns = round(window.end_s * 1e9)
        self._blocks = blocks
        seconds = window.end_s - window.start_s
        self.seconds = max(seconds, 1e-9)
        self.totals: dict[str, float] = defaultdict(float)
        self.sent = 0

    def add(
        self,
        record: Record,
        block: int | None,
        *,
        is_met: bool = False,
    ) -> None:
        """`block` None: it was sent outside the window, and may still reach into it.

        `is_met`: it met every objective.
        """
        start_ns = max(0, record.intended_ns)
        end_ns = record.end_ns
        is_good = record.error is None and end_ns is not None
        if block is not None:
            self.sent += 1
            self._blocks[block].add(record, is_good=is_good, is_met=is_met)
        if not is_good or end_ns is None:
            return
        first_ns = record.first_ns
        tokens = visible_tokens(record)
        served = self._share(start_ns, end_ns)
        totals = self.totals
        totals[REQUESTS] += served
        totals[GOODPUT] += served * is_met
        totals[INPUT] += record.input_tokens * served
        totals[TEXTS] += record.texts * served
        totals[HIDDEN] += record.hidden_tokens * served
        if first_ns is None:
            totals[TOKENS] += tokens * served
            return
        # one token at the first chunk, the others evenly up to the last
        totals[TOKENS] += min(tokens, 1) * self._share(first_ns, first_ns)
        totals[TOKENS] += max(0, tokens - 1) * self._share(first_ns, end_ns)

    def _share(self, start_ns: int, end_ns: int) -> float:
        """Of a stretch of time, how much of it is inside the window."""
        if end_ns <= start_ns:
            return float(self._start_ns <= end_ns <= self._end_ns)
        inside_ns = min(end_ns, self._end_ns) - max(start_ns, self._start_ns)
        return max(0, inside_ns) / (end_ns - start_ns)


class _Block:
    """What was sent in a block of time, and the time that it took.

    A closed load's streams are busy all the time, so their time is that of the requests. In an open
    one it is the clock's.
    """

    def __init__(self, *, of_streams: bool) -> None:
        self._of_streams = of_streams
        self.seconds = 0.0 if of_streams else 1.0
        self.amounts = dict.fromkeys(RATES, 0.0)

    def add(
        self,
        record: Record,
        *,
        is_good: bool,
        is_met: bool,
    ) -> None:
        if self._of_streams:
            self.seconds += (record.done_ns - record.intended_ns) / 1e9
        if is_good:
            self.amounts[REQUESTS] += 1
            self.amounts[GOODPUT] += is_met
            self.amounts[TOKENS] += visible_tokens(record)
            self.amounts[TEXTS] += record.texts


def _between(rates: Sequence[float]) -> tuple[float, float] | None:
    count = len(rates)
    if count < FEWEST_REPETITIONS:
        return None
    mean = math.fsum(rates) / count
    squares = math.fsum((rate - mean) ** 2 for rate in rates)
    error = math.sqrt(squares / (count - 1) / count)
    half = t_limit(count - 1) * error
    return max(0.0, mean - half), mean + half


def _width(limits: tuple[float, float]) -> float:
    low, high = limits
    return high - low
