"""Two saved batches row by row: shares that were answered and failed, tokens, cost and time a row.

Rows are the same where what they ask is; models and settings may differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.prices import Prices
from llmops_cli.core.significance import (
    SURE,
    holm,
    paired_interval,
    sign_flip_p,
    t_limit,
    two_sided_p,
)
from llmops_cli.core.stats import share_interval
from llmops_cli.generate.report import GenerateReport
from llmops_cli.generate.row_records import RowRecord, saved_records
from llmops_cli.show.paired import BETTER, CANT_TELL, WORSE, PairedColumn, PairedRun
from llmops_cli.show.runs import OpenedRun

ANSWERED = "answered"
ERRORS = "errors"
SECONDS = "seconds"
COST = "cost"
INPUT_TOKENS = "input_tokens"
OUTPUT_TOKENS = "output_tokens"
MORE = "more"
LESS = "less"
AS_MEASURED = "as measured"
PAIRED_BY = "rows are paired by what they ask: messages, prompt or input"

Interval = tuple[float, float]
Records = Mapping[str, RowRecord]


class RowDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One measure on the `rows` that both have: the run's less the baseline's, and a verdict.

    `answered` and `errors` (of one `kind`) are shares of the rows that both asked, and their
    difference is in points; others are means over rows that both answered, with the change as a
    share of the baseline's. `p` is two-sided, `p_adjusted` Holm's over all measures. Seconds have
    neither these nor an interval: the rows of a run share a server and its moment, so that they
    say nothing of how much a second run of the same would differ.
    """

    measure: str
    kind: str = ""
    rows: int
    baseline: float
    run: float
    change: float
    ci95: Interval | None = None
    p: float | None = None
    p_adjusted: float | None = None
    verdict: str = AS_MEASURED

    @property
    def is_share(self) -> bool:
        return self.measure in (ANSWERED, ERRORS)


class RowsComparison(msgspec.Struct, frozen=True, kw_only=True):
    """`alone_*`: rows that one run alone has."""

    baseline: str
    run: str
    rows: int
    alone_baseline: int
    alone_run: int
    measures: list[RowDifference]
    warnings: list[str] = []


class _Pair(NamedTuple):
    before: RowRecord
    after: RowRecord


def compare_rows(baseline: OpenedRun, run: OpenedRun, *, min_effect: float) -> RowsComparison:
    """`min_effect`: a smaller change gets no verdict. Raises: UsageError for no pair."""
    before = saved_records(baseline)
    after = saved_records(run)
    shared = [_Pair(record, after[key]) for key, record in before.items() if key in after]
    asked = [pair for pair in shared if pair.before.is_asked and pair.after.is_asked]
    if not asked:
        raise UsageError(
            f"{baseline.name} and {run.name} have no row in common that both asked", hint=PAIRED_BY
        )
    answered = [pair for pair in asked if not (pair.before.error or pair.after.error)]
    found = [*_shares(asked), *_amounts(answered, _prices_of(baseline), _prices_of(run))]
    measures = _judged_together(found, min_effect)
    return RowsComparison(
        baseline=baseline.name,
        run=run.name,
        rows=len(shared),
        alone_baseline=len(before) - len(shared),
        alone_run=len(after) - len(shared),
        measures=measures,
        warnings=[*_stopped(baseline), *_stopped(run)],
    )


def _shares(pairs: Sequence[_Pair]) -> list[RowDifference]:
    """Of all that were answered, and of each kind of error, the most frequent first."""
    found = [_share(pairs, ANSWERED, "")]
    errors = [_share(pairs, ERRORS, kind) for kind in _kinds(pairs)]
    errors.sort(key=lambda each: -(each.baseline + each.run))
    return found + errors


def _kinds(pairs: Sequence[_Pair]) -> list[str]:
    kinds = {record.error for pair in pairs for record in pair}
    return sorted(kinds - {""})


def _share(pairs: Sequence[_Pair], measure: str, kind: str) -> RowDifference:
    differences = [
        float(pair.after.error == kind) - float(pair.before.error == kind) for pair in pairs
    ]
    count = len(pairs)
    return RowDifference(
        measure=measure,
        kind=kind,
        rows=count,
        baseline=sum(pair.before.error == kind for pair in pairs) / count,
        run=sum(pair.after.error == kind for pair in pairs) / count,
        change=math.fsum(differences) / count,
        ci95=paired_interval(differences),
        p=sign_flip_p(differences),
    )


def _amounts(pairs: Sequence[_Pair], before: Prices, after: Prices) -> list[RowDifference]:
    """Of each measure that both have."""
    tokens = [(pair.before.input_tokens, pair.after.input_tokens) for pair in pairs]
    answers = [(pair.before.output_tokens, pair.after.output_tokens) for pair in pairs]
    found = [
        _seconds(pairs),
        _amount(INPUT_TOKENS, tokens),
        _amount(OUTPUT_TOKENS, answers),
    ]
    if before.are_given and after.are_given:
        costs = [(_cost(pair.before, before), _cost(pair.after, after)) for pair in pairs]
        found.append(_amount(COST, costs))
    return [each for each in found if each is not None]


def _cost(record: RowRecord, prices: Prices) -> float:
    return prices.cost(record.input_tokens, record.output_tokens)


def _seconds(pairs: Sequence[_Pair]) -> RowDifference | None:
    """As they were measured; None where no row has them in both runs."""
    timed = [
        (pair.before.seconds, pair.after.seconds)
        for pair in pairs
        if pair.before.seconds is not None and pair.after.seconds is not None
    ]
    count = len(timed)
    before = math.fsum(pair[0] for pair in timed) / max(1, count)
    if before <= 0:
        return None
    after = math.fsum(pair[1] for pair in timed) / count
    return RowDifference(
        measure=SECONDS, rows=count, baseline=before, run=after, change=after / before - 1
    )


def _amount(measure: str, pairs: Sequence[tuple[float, float]]) -> RowDifference | None:
    """Student's t in pairs; None for less than two, or nothing to take a share of."""
    count = len(pairs)
    before = math.fsum(pair[0] for pair in pairs) / max(1, count)
    if count < 2 or before <= 0:
        return None
    differences = [pair[1] - pair[0] for pair in pairs]
    mean = math.fsum(differences) / count
    variance = math.fsum((each - mean) ** 2 for each in differences) / (count - 1)
    error = math.sqrt(variance / count)
    half = t_limit(count - 1) * error
    return RowDifference(
        measure=measure,
        rows=count,
        baseline=before,
        run=before + mean,
        change=mean / before,
        ci95=((mean - half) / before, (mean + half) / before),
        p=two_sided_p(mean, error, count - 1),
    )


def _judged_together(found: Sequence[RowDifference], min_effect: float) -> list[RowDifference]:
    """Each with its verdict, adjusted for all of those that get one."""
    adjusted = iter(holm([each.p for each in found if each.p is not None]))
    judged = []
    for each in found:
        is_tested = each.p is not None
        judged.append(_judged(each, next(adjusted), min_effect) if is_tested else each)
    return judged


def _judged(each: RowDifference, p_adjusted: float, min_effect: float) -> RowDifference:
    verdict = CANT_TELL
    if p_adjusted < SURE and abs(each.change) >= min_effect:
        verdict = MORE if each.change > 0 else LESS
        if each.is_share:
            is_better = (each.change > 0) == (each.measure == ANSWERED)
            verdict = BETTER if is_better else WORSE
    return msgspec.structs.replace(each, p_adjusted=p_adjusted, verdict=verdict)


def _prices_of(run: OpenedRun) -> Prices:
    recipe = run.report.manifest.recipe
    return Prices(input=recipe.get("price_in", 0.0), output=recipe.get("price_out", 0.0))


def _stopped(run: OpenedRun) -> list[str]:
    report: GenerateReport = run.report
    if not report.not_asked:
        return []
    return [f"{run.name}: {report.not_asked:,} of {report.rows:,} rows were not asked"]


def paired_of(run: OpenedRun) -> PairedRun:
    """Its rows as cases that pass where they were answered, for the gate.

    Raises: UsageError for a folder without its rows.
    """
    report: GenerateReport = run.report
    records = saved_records(run)
    shares = {key: float(not each.error) for key, each in records.items() if each.is_asked}
    asked = report.answered + report.failed
    column = PairedColumn(
        parts=("all rows",),
        shares=shares,
        n=report.answered,
        errors=report.failed,
        rate=report.answered / asked if asked else None,
        ci95=share_interval(report.answered, asked) if asked else None,
        figures={
            "tokens": float(report.input_tokens + report.output_tokens),
            "cost": report.cost,
            "latency_ms": _milliseconds(report.latency_p50_s),
        },
    )
    return PairedRun(
        name=run.name,
        measure=ANSWERED,
        columns=(column,),
        digests=dict.fromkeys(records, ""),
        stopped=report.stopped or "",
        paired_by=PAIRED_BY,
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
