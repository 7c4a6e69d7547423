"""What a plan says: figures with bands, and nothing without where it comes from."""

from __future__ import annotations

import msgspec

from llmops_cli.plan.slo import Kept
from llmops_cli.sizing.figures import Figure


class ServePlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`decode_tps`: of one stream alone; ttft, tpot and throughput: under the load asked for."""

    fits: Figure
    weights_bytes: Figure
    kv_bytes_per_token: Figure
    kv_pool_bytes: Figure
    max_concurrency: Figure
    decode_tps: Figure
    prefill_tps: Figure
    ttft_ms: Figure
    tpot_ms: Figure
    throughput_tps: Figure
    cost_per_million_tokens: Figure

    def figures(self) -> dict[str, Figure]:
        return {name: getattr(self, name) for name in self.__struct_fields__}


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """A closed loop of so many streams."""

    streams: float
    throughput_tps: float
    ttft_ms: float
    tpot_ms: float
    usd_per_million: float | None


class PlanDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A plan with what stands around it. `knee`: streams there.

    keeps_slo: None where no limit was given. model: its name, with which the title begins.
    """

    plan: ServePlan
    title: str
    curve: tuple[CurvePoint, ...]
    knee: float
    advice: tuple[str, ...]
    notes: tuple[str, ...]
    keeps_slo: Kept | None = None
    model: str = ""


class LayoutRow(msgspec.Struct, frozen=True, kw_only=True):
    """One way to spread a model. weights: of the fullest card; None: what it cannot tell."""

    tensor: int
    pipeline: int
    data: int
    expert: int
    is_chosen: bool
    fits: bool
    weights_bytes_per_card: float
    kv_pool_bytes: float
    max_concurrency: int | None
    ttft_ms: float | None
    tpot_ms: float | None
    throughput_tps: float | None


class LayoutReport(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, the one to take first."""

    reason: str
    layouts: tuple[LayoutRow, ...]


class CheckedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A published value beside ours. `missing`: why there is none of ours."""

    quantity: str
    source: str
    published: object
    value: object = None
    low: object = None
    high: object = None
    missing: str | None = None


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Of one quantity. Errors and widths are shares; interval_score: lower is better, a share."""

    n: int
    unanswered: int
    median_error: float | None
    coverage: float | None
    median_half_width: float | None
    interval_score: float | None


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """Every row of a file of published values."""

    rows: tuple[CheckedRow, ...]
    by_quantity: dict[str, Checked]
