"""Tokens a second and times, as figures with the band that measurements leave."""

from __future__ import annotations

import math

from llmops_cli.plan.service import token_s
from llmops_cli.plan.setting import Setting
from llmops_cli.sizing.figures import Figure, counted, estimated, missing
from llmops_cli.sizing.queueing import Loaded
from llmops_cli.sizing.speed import ceiling_s, prefill_s

LOADED_SPREAD = 0.1
"""What arrivals and scheduling add to a band, as a logarithm."""


def decode_figure(setting: Setting) -> Figure:
    """Of one stream; the band ends where the memory's bandwidth does."""
    fix = setting.correction("decode")
    context = setting.prompt_tokens + setting.output_tokens / 2
    ceiling = 1 / ceiling_s(setting.load, setting.place, batch=1, context=context)
    if setting.recipe.draft_tokens is not None:
        ceiling = math.inf
    return estimated(
        fix.factor / token_s(setting, 1),
        fix.spread,
        formula=(
            "1 / (bytes / bandwidth / share + unpacking + layers x fixed time + all-reduces), "
            f"at most {ceiling:,.1f}"
        ),
        source=fix.source,
        ceiling=ceiling,
    )


def prefill_figure(setting: Setting) -> Figure:
    fix = setting.correction("prefill")
    seconds = prefill_s(
        setting.load, setting.place, setting.efficiency, tokens=setting.prompt_tokens
    )
    return estimated(
        setting.prompt_tokens / seconds * fix.factor,
        fix.spread,
        formula="tokens / (2 x active parameters + attention) x peak x share",
        source=fix.source,
    )


def first_token_figure(setting: Setting, found: Loaded) -> Figure:
    fix = setting.correction("prefill")
    if not found.is_stable:
        return missing(
            f"{setting.recipe.rate:g} requests a second are more than "
            f"{found.requests_per_s:.2f}, which is all that it can do: the queue grows"
        )
    spread = fix.spread + (LOADED_SPREAD if found.streams > 1 else 0.0)
    return estimated(
        found.ttft_s * 1000,
        spread,
        formula="wait for a slot and for prompts before it + own prompt + one step",
        source=fix.source,
    )


def throughput_figure(setting: Setting, found: Loaded, spread: float, source: str) -> Figure:
    if setting.recipe.rate is not None and found.is_stable:
        return counted(found.tokens_per_s, "rate x tokens of an answer", "the load asked for")
    return estimated(
        found.tokens_per_s,
        spread,
        formula=f"tokens of answers by {found.streams:.0f} streams / (prompts + steps)",
        source=source,
    )
