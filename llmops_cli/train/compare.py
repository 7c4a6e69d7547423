"""Two training runs: their figures, and how far their losses lie apart at the same steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from rich.table import Table

from llmops_cli.core.errors import unknown_name
from llmops_cli.show.runs import Compared, OpenedRun
from llmops_cli.show.tables import number
from llmops_cli.train.figures import FIGURES, LESS_IS_BETTER, MORE_IS_BETTER
from llmops_cli.train.report import TrainReport

MIN_EFFECT = 0.02
HEADS = ("figure", "baseline", "run", "change", "")
SAME_WORK = ("data", "batch_size", "seed", "sequence_length", "learning_rate", "optimizer")


class FigureChange(msgspec.Struct, frozen=True, kw_only=True):
    """`change` is a share of the baseline. `verdict`: better, worse, same, or nothing."""

    figure: str
    baseline: float
    run: float
    change: float | None
    verdict: str


class TrainComparison(msgspec.Struct, frozen=True, kw_only=True):
    """`largest_loss_difference` is over steps that both curves have; 0 for a repeated run."""

    baseline: str
    run: str
    figures: list[FigureChange]
    largest_loss_difference: float | None
    at_step: int | None


def compare(
    baseline: OpenedRun,
    run: OpenedRun,
    metrics: Sequence[str],
    min_effect: float | None,
) -> Compared:
    """Raises: UsageError for an unknown figure."""
    for name in metrics:
        if name not in FIGURES:
            raise unknown_name("metric", name, FIGURES)
    effect = MIN_EFFECT if min_effect is None else min_effect
    names = metrics or FIGURES
    changes = list(_changes(baseline.report, run.report, names, effect))
    step, apart = _loss_difference(baseline.report, run.report)
    found = TrainComparison(
        baseline=baseline.name,
        run=run.name,
        figures=changes,
        largest_loss_difference=apart,
        at_step=step,
    )
    return Compared(
        result=found,
        table=_table(found),
        markdown=_markdown(found),
        warnings=list(_warnings(baseline.report, run.report)),
    )


def _changes(
    baseline: TrainReport,
    run: TrainReport,
    names: Iterable[str],
    effect: float,
) -> Iterator[FigureChange]:
    """Of those that both have."""
    for name in names:
        before = FIGURES[name](baseline)
        after = FIGURES[name](run)
        if before is not None and after is not None:
            change = (after - before) / before if before else None
            yield FigureChange(
                figure=name,
                baseline=before,
                run=after,
                change=change,
                verdict=_verdict(name, change, effect),
            )


def _verdict(name: str, change: float | None, effect: float) -> str:
    if change is None or name not in MORE_IS_BETTER | LESS_IS_BETTER:
        return ""
    if abs(change) < effect:
        return "same"
    is_more = change > 0
    return "better" if is_more == (name in MORE_IS_BETTER) else "worse"


def _loss_difference(
    baseline: TrainReport,
    run: TrainReport,
) -> tuple[int | None, float | None]:
    before = dict(baseline.loss_curve)
    after = dict(run.loss_curve)
    apart = {step: abs(after[step] - before[step]) for step in before.keys() & after.keys()}
    if not apart:
        return None, None
    step = max(apart, key=lambda step: (apart[step], -step))
    return step, apart[step]


def _warnings(baseline: TrainReport, run: TrainReport) -> Iterator[str]:
    """What makes two losses unlike."""
    for name in SAME_WORK:
        before = baseline.manifest.recipe.get(name)
        after = run.manifest.recipe.get(name)
        if before != after:
            yield f"{name} is {before} in the baseline and {after} in the run"
    if baseline.manifest.digests.get("data") != run.manifest.digests.get("data"):
        yield "the data are not the same"


def _rows(found: TrainComparison) -> Iterator[list[str]]:
    for each in found.figures:
        change = "-" if each.change is None else f"{each.change:+.2%}"
        yield [
            each.figure,
            _shown(each.baseline),
            _shown(each.run),
            change,
            each.verdict,
        ]
    if found.largest_loss_difference is not None:
        apart = f"{found.largest_loss_difference:.3g}"
        yield ["largest loss difference", "", apart, f"at step {found.at_step}", ""]


def _shown(value: float) -> str:
    if value == int(value):
        return f"{value:,.0f}"
    return number(value, 4 if abs(value) < 1000 else 0)


def _table(found: TrainComparison) -> Table:
    title = f"{found.run} against {found.baseline}"
    table = Table(title=title, title_justify="left")
    for head in HEADS:
        table.add_column(head, justify="left" if head in ("figure", "") else "right")
    for row in _rows(found):
        table.add_row(*row)
    return table


def _markdown(found: TrainComparison) -> str:
    lines: list[Sequence[str]] = [HEADS, ["---"] * len(HEADS), *_rows(found)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
