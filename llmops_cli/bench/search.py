"""What levels say together: the highest rate that meets the objectives, and the knee of a sweep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from llmops_cli.bench.arrivals import rate_words
from llmops_cli.bench.report import Conclusion, Level
from llmops_cli.bench.slo import Slo

LevelVerdict = Literal["pass", "fail", "unsure", "invalid"]
CLOSE_ENOUGH = 1.1
MOST_PROBES = 16
MOST_REPEATS = 3
Z_SQUARE = 1.96**2
FEWEST_REQUESTS = 20


def requests_needed(slos: Sequence[Slo]) -> int:
    """Requests that can prove the strictest objective if none of them misses it.

    By Wilson's lower bound.
    """
    needed = [FEWEST_REQUESTS]
    for slo in slos:
        odds = slo.share / (1 - slo.share)
        proof = math.ceil(Z_SQUARE * odds) + 1
        needed.append(proof)
    return max(needed)


def judge(level: Level) -> LevelVerdict:
    """A level passes if each objective's interval lies above what it needs.

    It fails if one lies below. One whose client was the limit says nothing about the server.
    """
    if level.measured and not level.valid:
        return "invalid"
    if level.saturated or not level.measured:
        return "fail"
    lows = []
    highs = []
    for slo in level.slos:
        low, high = slo.share_ci95
        lows.append(low >= slo.needed)
        highs.append(high >= slo.needed)
    if not all(highs):
        return "fail"
    if all(lows):
        return "pass"
    return "unsure"


def out_of_reach(alone: Level) -> Conclusion:
    """What to say if even requests one at a time miss the objectives."""
    missed = [slo.text for slo in alone.slos if not slo.met]
    names = ", ".join(missed)
    return Conclusion(
        sure=judge(alone) == "fail", text=f"no rate can: one request at a time misses {names}"
    )


class RateSearch:
    """Doubles until a rate fails, then halves the gap until it is a tenth.

    An unsure rate is measured again, up to three times, and then taken as it looks.
    """

    def __init__(self, start_per_s: float) -> None:
        self._next = start_per_s
        self.passed: float | None = None
        self.failed: float | None = None
        self.sure = True
        self._probes = 0
        self._client_limit: float | None = None
        self._invalid: float | None = None

    def next_rate(self) -> float | None:
        """None when the answer is known well enough."""
        if self._probes >= MOST_PROBES:
            return None
        if self._invalid is not None:
            return None
        if self.passed and self.failed:
            apart = self.failed / self.passed
            if apart <= CLOSE_ENOUGH:
                return None
        if self.failed is not None and self.failed < 1e-3:
            return None
        self._probes += 1
        return self._next

    def tell(
        self,
        rate: float,
        level: Level,
        verdict: LevelVerdict,
    ) -> None:
        """The final verdict on a rate; `unsure` goes by the point estimates."""
        if verdict == "invalid":
            self.sure = False
            self._invalid = rate
            if level.client.was_limit:
                self._client_limit = rate
            return
        if verdict == "unsure":
            self.sure = False
            met_all = all(slo.met for slo in level.slos)
            verdict = "pass" if met_all else "fail"
        if verdict == "pass":
            self.passed = max(rate, self.passed or 0.0)
        else:
            known = self.failed or math.inf
            self.failed = min(rate, known)
        if self.failed is None:
            self._next = rate * 2
        elif self.passed is None:
            self._next = rate / 2
        else:
            middle = self.passed * self.failed
            self._next = math.sqrt(middle)

    def finding(self) -> Conclusion:
        return Conclusion(
            best_rate_per_s=self.passed,
            failing_rate_per_s=self.failed,
            client_limit_per_s=self._client_limit,
            sure=self.sure,
            text=self._words(),
        )

    def _words(self) -> str:
        if self.passed is None:
            if not self.failed:
                return ""
            return f"no rate met the objectives (down to {self.failed:.3g} requests/s)"
        least = "" if self._client_limit is None else "at least "
        text = f"{least}{rate_words(self.passed)} requests/s meets the objectives; {self._beyond()}"
        if not self.sure and self._invalid is None:
            text += " (some verdicts are by point estimate: more --requests would settle them)"
        return text

    def _beyond(self) -> str:
        """What is known of higher rates."""
        if self._client_limit is not None:
            rate = rate_words(self._client_limit)
            return f"at {rate}/s this client was the limit (more --workers, or cores)"
        if self._invalid is not None:
            return f"at {rate_words(self._invalid)}/s nothing was measured that holds"
        if self.failed:
            return f"{rate_words(self.failed)}/s does not"
        return "no higher one was tried"


def knee(levels: Sequence[Level]) -> Conclusion:
    """The level with the highest power, throughput / latency, among at least three of one kind.

    Source: Kleinrock 1979.
    """
    usable = [level for level in levels if level.valid and _power(level)]
    kinds = {level.kind for level in usable}
    if len(usable) < 3 or len(kinds) > 1:
        return Conclusion()
    best = max(usable, key=_power)
    top = max(usable, key=_throughput)
    if best is usable[-1]:
        return Conclusion(
            text=f"no knee up to {best.label}: throughput still grows faster than latency"
        )
    text = f"knee at {best.label}: beyond it latency grows faster than throughput"
    if top is not best:
        unit = "tokens/s" if top.texts_per_s is None else "texts/s"
        text += f"; most throughput at {top.label}: {_throughput(top):,.0f} {unit}"
    return Conclusion(knee=best.label, text=text)


def _power(level: Level) -> float:
    """Throughput over latency; 0 where one is missing."""
    latency_ms = level.e2e_ms.p50
    if not latency_ms:
        return 0.0
    return _throughput(level) / latency_ms


def _throughput(level: Level) -> float:
    if level.texts_per_s is not None:
        return level.texts_per_s
    return level.output_tokens_per_s
