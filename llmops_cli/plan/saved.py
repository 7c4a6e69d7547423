"""Plans that were kept: written once, shown, put beside one another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.table import Table

from llmops_cli.core.errors import unknown_name
from llmops_cli.plan.kept import PlanReport
from llmops_cli.plan.page import plan_page
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.plan.report import PlanDetail, ServePlan
from llmops_cli.plan.show import plan_table, said
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.runs import RunFolder
from llmops_cli.show.runs import Compared, OpenedRun, Show
from llmops_cli.show.tables import MISSING, cell
from llmops_cli.sizing.figures import Figure

COLUMNS = ("figure", "baseline", "other", "change", "bands")


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Of one figure. `change`: a share of the baseline; `overlaps`: whether the bands do."""

    figure: str
    baseline: object
    other: object
    change: float | None
    overlaps: bool | None


def keep(
    folder: Path,
    recipe: PlanRecipe,
    origins: dict[str, str],
    detail: PlanDetail,
    clock: RunClock,
) -> Path:
    """Where its report is. Raises: UsageError for a folder that holds a run already."""
    place = RunFolder("plan", "serve", chosen=folder)
    place.require_unused(hint="choose another --save, or remove it")
    report = PlanReport(manifest=clock.manifest(recipe, origins), detail=detail)
    return place.write_report(report)


def _compare(
    baseline: OpenedRun,
    other: OpenedRun,
    metrics: Sequence[str],
    _min_effect: float | None,
) -> Compared:
    """Raises: UsageError for a figure that no plan has."""
    names = ServePlan.__struct_fields__
    for metric in metrics:
        if metric not in names:
            raise unknown_name("figure", metric, names)
    found = []
    for name in metrics or names:
        left = getattr(baseline.report.detail.plan, name)
        right = getattr(other.report.detail.plan, name)
        found.append(_difference(name, left, right))
    table = Table(title=f"{other.name} against {baseline.name}", title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "figure" else "right")
    lines = [COLUMNS, ("---",) * len(COLUMNS)]
    for each in found:
        cells = _cells(each)
        table.add_row(*[cell(text) for text in cells])
        lines.append(cells)
    markdown = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return Compared(result=found, table=table, markdown=markdown, droppable=("bands",))


def _difference(name: str, left: Figure, right: Figure) -> Difference:
    change = None
    overlaps = None
    if left.value is not None and right.value is not None:
        overlaps = _low(left) <= _high(right) and _low(right) <= _high(left)
        if left.number and not isinstance(left.value, bool):
            change = right.number / left.number - 1
    return Difference(
        figure=name,
        baseline=left.value,
        other=right.value,
        change=change,
        overlaps=overlaps,
    )


def _low(figure: Figure) -> float:
    return float(figure.low or 0.0)


def _high(figure: Figure) -> float:
    return float(figure.high or 0.0)


def _cells(each: Difference) -> tuple[str, ...]:
    bands = {None: MISSING, True: "overlap", False: "apart"}
    return (
        each.figure,
        said(each.figure, _value(each.baseline)),
        said(each.figure, _value(each.other)),
        MISSING if each.change is None else f"{each.change:+.1%}",
        bands[each.overlaps],
    )


def _value(value: object) -> bool | float | None:
    assert value is None or isinstance(value, bool | float | int)
    return value


def _listed(report: PlanReport) -> dict[str, object]:
    plan = report.detail.plan
    return {
        "backend": report.manifest.recipe.get("gpu") or "this machine",
        "title": report.detail.title,
        "fits": plan.fits.value,
        "throughput_tps": plan.throughput_tps.value,
    }


def _figures(report: PlanReport) -> str:
    speed = report.detail.plan.throughput_tps.value
    if speed is None:
        return "does not fit"
    return f"{said('throughput_tps', speed)} tok/s planned"


def _page(runs: Sequence[OpenedRun]) -> str:
    return plan_page([run.report.detail for run in runs])


SHOW = Show(
    table=lambda report, word, width: plan_table(report.detail, explains=False),
    listed=_listed,
    figures=_figures,
    compare=_compare,
    page=_page,
)
