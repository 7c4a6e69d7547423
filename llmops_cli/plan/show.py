"""A plan and a check as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from llmops_cli.plan.report import Checked, PlanDetail
from llmops_cli.show.tables import MISSING, cell
from llmops_cli.sizing.figures import BAND_RATE, Figure, Value

GIB = 2**30


def plan_table(detail: PlanDetail, *, explains: bool) -> Table:
    """A row a figure; with `explains` how it was made and of what."""
    table = Table(title=detail.title, title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column(f"{BAND_RATE:.0%} band", justify="right")
    if explains:
        table.add_column("formula", overflow="fold")
        table.add_column("source", overflow="fold")
    for name, figure in detail.plan.figures().items():
        cells = [name, said(name, figure.value), _band(name, figure)]
        if explains:
            cells += [cell(figure.formula), cell(figure.source)]
        table.add_row(*cells)
    return table


def plans_table(details: Sequence[PlanDetail], names: Sequence[str]) -> Table:
    """A row a plan."""
    table = Table()
    table.add_column("plan")
    for name in names:
        table.add_column(name, justify="right")
    for detail in details:
        figures = detail.plan.figures()
        table.add_row(cell(detail.title), *[said(name, figures[name].value) for name in names])
    return table


def check_table(by_quantity: dict[str, Checked]) -> Table:
    """A row a quantity."""
    table = Table()
    table.add_column("quantity")
    for name in ("n", "unanswered", "median error", "coverage", "half width", "score"):
        table.add_column(name, justify="right")
    for name, found in by_quantity.items():
        table.add_row(
            cell(name),
            str(found.n),
            str(found.unanswered),
            _share(found.median_error),
            _share(found.coverage),
            _share(found.median_half_width),
            _share(found.interval_score),
        )
    return table


def said(name: str, value: Value) -> str:
    """In the unit that the name ends with; pools in GiB."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in {"weights_bytes", "kv_pool_bytes"}:
        return f"{value / GIB:,.2f} GiB"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:,.3g}"


def _band(name: str, figure: Figure) -> str:
    if figure.value is None:
        return cell(figure.formula)
    return f"{said(name, figure.low)} to {said(name, figure.high)}"


def _share(value: float | None) -> str:
    return MISSING if value is None else f"{value:.1%}"
