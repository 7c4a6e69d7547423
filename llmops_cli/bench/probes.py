"""The search for the highest rate that meets the objectives, level by level."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_cli.bench.arrivals import Load, rate_load
from llmops_cli.bench.levels import Keep, LevelRunner
from llmops_cli.bench.measured import MeasuredLevels
from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.bench.report import Level
from llmops_cli.bench.search import (
    MOST_REPEATS,
    LevelVerdict,
    RateSearch,
    judge,
    out_of_reach,
    requests_needed,
)
from llmops_cli.bench.slo import Slo

PROBE_S = 120.0
LEAST_PROBE_S = 5.0


class RateProbes:
    """Runs the levels that a RateSearch asks for."""

    def __init__(
        self,
        recipe: BenchRecipe,
        slos: Sequence[Slo],
        runner: LevelRunner,
        measured: MeasuredLevels,
    ) -> None:
        self._recipe = recipe
        self._needed = recipe.requests or requests_needed(slos)
        self._limit_s = recipe.duration_s or PROBE_S
        self._runner = runner
        self._measured = measured

    def run(self, keep: Keep) -> None:
        """Leaves what it finds in `measured.conclusion`, after each level."""
        first_rate = 1.0
        if self._recipe.rate:
            first_rate = self._recipe.rate[0]
        search = RateSearch(first_rate)
        asked_alone = False
        while (rate := search.next_rate()) is not None:
            load = self._load(rate)
            level, verdict = self._probe(load)
            search.tell(rate, level, verdict)
            self._measured.conclusion = search.finding()
            keep(self._measured.known())
            if search.passed is not None:
                continue
            if verdict == "invalid":
                return
            if verdict == "fail" and not asked_alone:
                asked_alone = True  # before ever lower rates are tried in vain
                if self._is_out_of_reach(keep):
                    return

    def _is_out_of_reach(self, keep: Keep) -> bool:
        """Even one request at a time misses the objectives."""
        load = Load(
            kind="closed",
            label="1 stream",
            concurrency=1,
            count=self._needed,
            duration_s=self._limit_s,
        )
        alone, verdict = self._probe(load)
        keep(self._measured.known())
        met_all = all(slo.met for slo in alone.slos)
        if verdict != "fail" and met_all:
            return False
        self._measured.conclusion = out_of_reach(alone)
        return True

    def _load(self, rate: float) -> Load:
        least = int(rate * LEAST_PROBE_S)
        count = max(self._needed, least)
        return rate_load(self._recipe, rate, count=count, duration_s=self._limit_s)

    def _probe(self, load: Load) -> tuple[Level, LevelVerdict]:
        """Measured again while its verdict is unsure, up to a limit."""
        number = self._measured.add_load(load)
        for repetition in range(MOST_REPEATS):
            self._runner.repeat(number, repetition)
            level = self._measured.level(number)
            verdict = judge(level)
            if verdict != "unsure":
                break
        return level, verdict
