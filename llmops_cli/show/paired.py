"""Two saved runs over the same cases, case by case: differences of shares, and how sure they are.

Columns are what a run measures beside one another: a prompt under a model, a technique.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from llmops_cli.core.counted import counted
from llmops_cli.core.errors import UsageError
from llmops_cli.core.significance import SURE, holm, paired_interval, sign_flip_p

Interval = tuple[float, float]
Parts = tuple[str, ...]
NO_FIGURES: Mapping[str, float | None] = {}
BETTER = "better"
WORSE = "worse"
CANT_TELL = "can't tell"


class PairedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """`shares`: of each case with a verdict, by its name, the share of its repeats that pass.

    `n`: answers with a verdict; `errors`: those without one, of all that were had.
    """

    parts: Parts
    shares: Mapping[str, float]
    n: int
    errors: int
    rate: float | None
    ci95: Interval | None
    figures: Mapping[str, float | None] = NO_FIGURES

    @property
    def label(self) -> str:
        return " · ".join(self.parts)


class PairedRun(msgspec.Struct, frozen=True, kw_only=True):
    """`measure`: what its rate is called. `digests`: of each case, by its name; empty if unknown.

    `paired_by`: what cases find each other by, for who has none in common.
    """

    name: str
    measure: str
    columns: tuple[PairedColumn, ...]
    digests: Mapping[str, str]
    stopped: str = ""
    paired_by: str = "cases are paired by their descriptions, or values"


class ColumnDifference(msgspec.Struct, frozen=True, kw_only=True):
    """`difference`: the run's share less the baseline's, on the `cases` that both decided.

    `only_baseline`, `only_run`: cases that one passes more often. `p` is two-sided, `p_adjusted`
    Holm's over all columns. `figures`: of all their answers, the baseline's and the run's.
    """

    baseline: str
    run: str
    cases: int
    rate_baseline: float
    rate_run: float
    only_baseline: int
    only_run: int
    difference: float
    ci95: Interval
    p: float
    p_adjusted: float
    verdict: str
    figures: dict[str, tuple[float | None, float | None]] = {}


class PairedComparison(msgspec.Struct, frozen=True, kw_only=True):
    """`alone_*`: cases that one run alone has; `changed`: of one name, and yet others."""

    baseline: str
    run: str
    measure: str
    columns: list[ColumnDifference]
    alone_baseline: int
    alone_run: int
    changed: int
    warnings: list[str] = []


def compare_paired(
    baseline: PairedRun,
    run: PairedRun,
    *,
    min_effect: float = 0.0,
) -> PairedComparison:
    """`min_effect`: a smaller difference gets no verdict. Raises: UsageError for no pair."""
    pairs = column_pairs(baseline, run)
    differences = [_by_case(a, b) for a, b in pairs]
    values = [sign_flip_p(each) for each in differences]
    columns = [
        _difference(a, b, each, (p, sure), min_effect)
        for (a, b), each, p, sure in zip(pairs, differences, values, holm(values), strict=True)
        if each
    ]
    shared = baseline.digests.keys() & run.digests.keys()
    changed = len(changed_cases(baseline, run))
    if not columns:
        raise UsageError(
            f"{baseline.name} and {run.name} have no case in common that both decided",
            hint=run.paired_by,
        )
    return PairedComparison(
        baseline=baseline.name,
        run=run.name,
        measure=run.measure,
        columns=columns,
        alone_baseline=len(baseline.digests.keys() - shared),
        alone_run=len(run.digests.keys() - shared),
        changed=changed,
        warnings=[*_warnings(baseline, run, pairs, changed)],
    )


def changed_cases(baseline: PairedRun, run: PairedRun) -> list[str]:
    """Names of cases that both have and that are known to be others."""
    found = []
    for name, before in baseline.digests.items():
        now = run.digests.get(name, "")
        if before and now and before != now:
            found.append(name)
    return found


def column_pairs(
    baseline: PairedRun,
    run: PairedRun,
) -> list[tuple[PairedColumn, PairedColumn]]:
    """Columns of the same parts; a part that has one value in each run may be another one there.

    So an old prompt is compared with a new one. Raises: UsageError where nothing fits.
    """
    width = len(baseline.columns[0].parts) if baseline.columns else 0
    kept = [place for place in range(width) if not _is_single(baseline, run, place)]

    def key(column: PairedColumn) -> Parts:
        return tuple(column.parts[place] for place in kept)

    before = {key(column): column for column in baseline.columns}
    found = [(before[key(each)], each) for each in run.columns if key(each) in before]
    if not found:
        raise UsageError(
            f"{baseline.name} and {run.name} have nothing of one name to compare",
            hint=f"{_labels(baseline)} against {_labels(run)}",
        )
    return found


def _labels(run: PairedRun) -> str:
    return ", ".join(column.label for column in run.columns[:4])


def _is_single(baseline: PairedRun, run: PairedRun, place: int) -> bool:
    """Whether a part tells no columns apart, in either run."""
    return all(len({each.parts[place] for each in one.columns}) == 1 for one in (baseline, run))


def _by_case(a: PairedColumn, b: PairedColumn) -> list[float]:
    return [b.shares[name] - share for name, share in a.shares.items() if name in b.shares]


def _difference(
    a: PairedColumn,
    b: PairedColumn,
    differences: Sequence[float],
    p: tuple[float, float],
    min_effect: float,
) -> ColumnDifference:
    """`p`: alone, and adjusted."""
    count = len(differences)
    mean = math.fsum(differences) / count
    shared = [name for name in a.shares if name in b.shares]
    verdict = CANT_TELL
    if p[1] < SURE and abs(mean) >= min_effect:
        verdict = BETTER if mean > 0 else WORSE
    names = [name for name in a.figures if name in b.figures]
    return ColumnDifference(
        baseline=a.label,
        run=b.label,
        cases=count,
        rate_baseline=math.fsum(a.shares[name] for name in shared) / count,
        rate_run=math.fsum(b.shares[name] for name in shared) / count,
        only_baseline=sum(each < 0 for each in differences),
        only_run=sum(each > 0 for each in differences),
        difference=mean,
        ci95=paired_interval(differences),
        p=p[0],
        p_adjusted=p[1],
        verdict=verdict,
        figures={name: (a.figures[name], b.figures[name]) for name in names},
    )


def undecided(a: PairedColumn, b: PairedColumn) -> int:
    """Cases that the baseline decided and the run has without a verdict, or not at all."""
    return len(a.shares.keys() - b.shares.keys())


def _warnings(
    baseline: PairedRun,
    run: PairedRun,
    pairs: Sequence[tuple[PairedColumn, PairedColumn]],
    changed: int,
) -> list[str]:
    found = []
    if changed:
        found.append(f"{changed} cases have the name of another case: their values or assertions")
    alone: Counter[str] = Counter()
    for a, b in pairs:
        lost = len((a.shares.keys() - b.shares.keys()) & run.digests.keys())
        if lost:
            alone[b.label] = lost
    found += [
        f"{label}: {counted(count, 'case')} lost the verdict" for label, count in alone.items()
    ]
    for one in (baseline, run):
        if one.stopped:
            found.append(f"{one.name} was stopped early: {one.stopped}")
        unpaired = len(one.columns) - len(pairs)
        if unpaired > 0:
            found.append(f"{one.name}: {unpaired} of its columns have no partner")
    return found
