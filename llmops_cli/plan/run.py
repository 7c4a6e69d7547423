"""A plan: what a model on some cards takes, how fast it is and what that costs."""

from __future__ import annotations

from llmops_cli.plan.advice import advice_of
from llmops_cli.plan.layouts import choose, layout_notes
from llmops_cli.plan.memory_figures import held_figures
from llmops_cli.plan.price import cost_figure, usd_per_hour
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.plan.report import CurvePoint, PlanDetail, ServePlan
from llmops_cli.plan.service import loaded_of, service_of
from llmops_cli.plan.setting import Setting, context_notes, title_of
from llmops_cli.plan.slo import all_kept, objectives_of
from llmops_cli.plan.speed_figures import (
    LOADED_SPREAD,
    decode_figure,
    first_token_figure,
    prefill_figure,
    throughput_figure,
)
from llmops_cli.sizing.cost import usd_per_million
from llmops_cli.sizing.figures import estimated, missing
from llmops_cli.sizing.queueing import Loaded, Service, curve, knee


def plan_serve(recipe: PlanRecipe) -> PlanDetail:
    """Raises: UsageError for what cannot be looked up."""
    choice = choose(recipe)
    setting = choice.setting
    service = service_of(setting)
    points = curve(service) if setting.can_run else ()
    usd = usd_per_hour(setting)
    bend = knee(points).streams if points else 0.0
    plan = _plan(setting, service, usd)
    objectives = objectives_of(setting.limits, ttft_ms=plan.ttft_ms, tpot_ms=plan.tpot_ms)
    advice = advice_of(
        load=setting.load,
        place=setting.place,
        engine=setting.engine,
        slots=setting.slots,
        service=service,
        limits=setting.limits,
        rate=recipe.rate,
        bend=bend,
    )
    return PlanDetail(
        plan=plan,
        title=title_of(setting),
        curve=tuple(_point(each, usd) for each in points),
        knee=bend,
        advice=(*(each.told for each in objectives), *advice),
        notes=(*setting.load.notes, *context_notes(setting), *layout_notes(choice)),
        model=setting.load.name,
        keeps_slo=all_kept(objectives) if objectives else None,
    )


def _plan(setting: Setting, service: Service, usd: float | None) -> ServePlan:
    held = held_figures(setting)
    if not setting.can_run:
        none = missing("it does not fit: see fits")
        return ServePlan(
            **held,
            decode_tps=none,
            prefill_tps=none,
            ttft_ms=none,
            tpot_ms=none,
            throughput_tps=none,
            cost_per_million_tokens=none,
        )
    found = loaded_of(setting, service)
    batch = setting.correction("batch")
    spread = batch.spread + (LOADED_SPREAD if found.streams > 1 else 0.0)
    if found.streams <= 1:
        spread = setting.correction("decode").spread
    throughput = throughput_figure(setting, found, spread, batch.source)
    return ServePlan(
        **held,
        decode_tps=decode_figure(setting),
        prefill_tps=prefill_figure(setting),
        ttft_ms=first_token_figure(setting, found),
        tpot_ms=estimated(
            found.tpot_s * 1000,
            spread,
            formula=f"a step of {found.streams:.0f} sequences, and prompts between",
            source=batch.source,
        ),
        throughput_tps=throughput,
        cost_per_million_tokens=cost_figure(throughput, usd),
    )


def _point(each: Loaded, usd: float | None) -> CurvePoint:
    return CurvePoint(
        streams=each.streams,
        throughput_tps=each.tokens_per_s,
        ttft_ms=each.ttft_s * 1000,
        tpot_ms=each.tpot_s * 1000,
        usd_per_million=None if usd is None else usd_per_million(usd, each.tokens_per_s),
    )
