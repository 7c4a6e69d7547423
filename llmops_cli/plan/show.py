"""A plan and a check as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from llmops_cli.plan.cards import CardRow
from llmops_cli.plan.known_models import ModelRow
from llmops_cli.plan.money import CostReport, CostRow
from llmops_cli.plan.report import Checked, LayoutRow, PlanDetail
from llmops_cli.show.tables import MISSING, cell
from llmops_cli.sizing.figures import BAND_RATE, Figure, Value

MIB = 2**20
GIB = 2**30
SMALL = GIB / 10
"""Below it two decimals of a GiB say nothing."""
PLAN_FIGURES = (
    "max_concurrency",
    "decode_tps",
    "ttft_ms",
    "tpot_ms",
    "throughput_tps",
    "cost_per_million_tokens",
)
PLAN_COLUMNS = (
    "weights GiB",
    "sequences",
    "one stream tok/s",
    "TTFT ms",
    "TPOT ms",
    "all tok/s",
    "$/1M tok",
)
PLANS_DROPPABLE = ("weights GiB", "sequences", "one stream tok/s", "TPOT ms", "TTFT ms")
BAND = f"{BAND_RATE:.0%} band"
PLAN_FOLDS = (BAND,)
CARD_COLUMNS = ("GiB", "GB/s", "BF16 TFLOP/s", "FP8 TFLOP/s", "capability", "$/hour")
MODELS_DROPPABLE = ("positions", "family", "active")
CARDS_DROPPABLE = ("listed", "capability", "FP8 TFLOP/s")
LAYOUTS_DROPPABLE = ("GiB/card", "sequences", "TPOT ms")
COST_DROPPABLE = ("replica-hours", "busy", "USD/1K requests", "break-even/day")
CHECK_DROPPABLE = ("score", "half width", "unanswered")


def plan_table(detail: PlanDetail, *, explains: bool) -> Table:
    """A row a figure; with `explains` how it was made and of what."""
    table = Table(title=detail.title, title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column(BAND, justify="right")
    if explains:
        table.add_column("formula", overflow="fold")
        table.add_column("source", overflow="fold")
    for name, figure in detail.plan.figures().items():
        cells = [name, said(name, figure.value), _band(name, figure)]
        if explains:
            cells += [cell(figure.formula), cell(figure.source)]
        table.add_row(*cells)
    return table


def plans_table(details: Sequence[PlanDetail]) -> Table:
    """A row a plan; whether it keeps within the limits where any were given."""
    has_limits = any(detail.keeps_slo is not None for detail in details)
    table = Table(title=cell(details[0].model), title_justify="left")
    table.add_column("plan", overflow="fold")
    table.add_column("fits", justify="right")
    if has_limits:
        table.add_column("keeps SLO", justify="right")
    for column in PLAN_COLUMNS:
        table.add_column(column, justify="right")
    for detail in details:
        plan = detail.plan
        weights = plan.weights_bytes.value
        name = detail.title.removeprefix(detail.model).strip()
        cells = [cell(name), said("fits", plan.fits.value)]
        if has_limits:
            cells.append(str(detail.keeps_slo))
        cells.append(MISSING if weights is None else f"{weights / GIB:,.2f}")
        cells += [said(name, plan.figures()[name].value) for name in PLAN_FIGURES]
        table.add_row(*cells)
    return table


def cards_table(rows: Sequence[CardRow]) -> Table:
    """A row a card."""
    table = Table()
    table.add_column("--gpu")
    for column in CARD_COLUMNS:
        table.add_column(column, justify="right")
    table.add_column("listed")
    for row in rows:
        table.add_row(
            cell(row.name),
            f"{row.memory_gib:,.0f}",
            f"{row.bandwidth_gb_per_s:,.0f}",
            f"{row.bf16_tflops:,.4g}",
            MISSING if row.fp8_tflops is None else f"{row.fp8_tflops:,.4g}",
            MISSING if row.capability is None else f"{row.capability:g}",
            MISSING if row.usd_per_hour is None else f"{row.usd_per_hour:,.2f}",
            row.date or "",
        )
    return table


def models_table(rows: Sequence[ModelRow]) -> Table:
    """A row a model."""
    table = Table()
    table.add_column("model")
    table.add_column("family")
    for column in ("parameters", "active", "KV bytes/token", "positions"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            cell(row.name),
            cell(row.family),
            _billions(row.parameters),
            _billions(row.active_parameters),
            f"{row.kv_bytes_per_token:,.0f}",
            MISSING if row.positions is None else f"{row.positions:,}",
        )
    return table


def _billions(count: int) -> str:
    return f"{count / 1e9:,.3g}B" if count < 1e11 else f"{count / 1e9:,.0f}B"


def layouts_table(rows: Sequence[LayoutRow]) -> Table:
    """A row a layout, the one to take first."""
    table = Table()
    for name in ("TP", "PP", "DP", "EP", "fits", "GiB/card", "sequences"):
        table.add_column(name, justify="right")
    for name in ("TTFT ms", "TPOT ms", "tok/s"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            *[str(degree) for degree in (row.tensor, row.pipeline, row.data, row.expert)],
            said("fits", row.fits),
            f"{row.weights_bytes_per_card / GIB:,.1f}",
            MISSING if row.max_concurrency is None else str(row.max_concurrency),
            said("ttft_ms", row.ttft_ms),
            said("tpot_ms", row.tpot_ms),
            said("throughput_tps", row.throughput_tps),
            style="bold" if row.is_chosen else None,
        )
    return table


def cost_table(report: CostReport) -> Table:
    """A row a way to have the traffic answered."""
    table = Table(title=report.title, title_justify="left")
    table.add_column("way")
    for name in ("USD/month", BAND, "USD/1K requests"):
        table.add_column(name, justify="right")
    for name in ("replica-hours", "busy", "break-even/day"):
        table.add_column(name, justify="right")
    for row in report.rows:
        figure = row.usd_per_month
        table.add_row(
            cell(row.name),
            said("usd", figure.value),
            MISSING if figure.value is None else _band("usd", figure),
            said("usd", row.usd_per_thousand_requests.value),
            said("hours", row.replica_hours),
            _share(row.busy_share),
            _break_even(row),
        )
    return table


def _break_even(row: CostRow) -> str:
    if row.break_even_share is None:
        return MISSING
    return said("requests", row.break_even_per_day) if row.break_even_per_day else "never"


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
    """In the unit that the name ends with; pools in GiB, small ones in MiB."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in {"weights_bytes", "kv_pool_bytes"}:
        if abs(value) < SMALL:
            return f"{value / MIB:,.2f} MiB"
        return f"{value / GIB:,.2f} GiB"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:,.3g}"


def _band(name: str, figure: Figure) -> str:
    if figure.value is None:
        return cell(figure.formula)
    if isinstance(figure.value, bool) and figure.low == figure.high:
        return ""
    return f"{said(name, figure.low)} to {said(name, figure.high)}"


def _share(value: float | None) -> str:
    return MISSING if value is None else f"{value:.1%}"
