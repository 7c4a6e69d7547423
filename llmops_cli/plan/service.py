"""How long a token and a prompt take here, alone and beside others."""

from __future__ import annotations

from llmops_cli.plan.setting import Setting
from llmops_cli.sizing.queueing import Loaded, Service, closed_loop, open_loop
from llmops_cli.sizing.speed import Speculation, prefill_s, speculated_s, step_s

OVERLAPPING = frozenset({"vllm", "sglang"})


def service_of(setting: Setting) -> Service:
    """Corrected by what was measured."""
    decode = setting.correction("decode")
    batch = setting.correction("batch")
    prefill = setting.correction("prefill")
    alone_s = token_s(setting, 1) / decode.factor

    def step(streams: float) -> float:
        if abreast(setting, streams) <= 1:
            return alone_s
        return token_s(setting, abreast(setting, streams)) / batch.factor

    whole_s = prefill_s(
        setting.load, setting.place, setting.efficiency, tokens=setting.prompt_tokens
    )
    return Service(
        prefill_s=whole_s / prefill.factor,
        output_tokens=setting.output_tokens,
        slots=max(1, setting.slots),
        step_s=step,
        copies=setting.place.data,
        stages=_stages_at_work(setting),
    )


def abreast(setting: Setting, streams: float) -> float:
    """Sequences of one step: those of one copy, in as many parts as its stages work on at once."""
    return max(1.0, streams / (setting.place.data * _stages_at_work(setting)))


def _stages_at_work(setting: Setting) -> int:
    """VLLM and SGLang have a batch in each stage; others one in all of them, one after another."""
    return setting.place.pipeline if setting.engine in OVERLAPPING else 1


def token_s(setting: Setting, streams: float) -> float:
    """Of a token, drafts counted; half of the answer is written on average."""
    context = setting.prompt_tokens + setting.output_tokens / 2
    arguments = (setting.load, setting.place, setting.efficiency)
    plain_s = step_s(*arguments, batch=streams, context=context)
    drafts = setting.recipe.draft_tokens
    if drafts is None:
        return plain_s
    wide_s = step_s(*arguments, batch=streams * (drafts + 1), context=context / (drafts + 1))
    speculation = Speculation(tokens=drafts, acceptance=setting.recipe.acceptance, draft_cost=0.05)
    return speculated_s(plain_s, speculation, load_factor=max(1.0, wide_s / plain_s))


def loaded_of(setting: Setting, service: Service) -> Loaded:
    if setting.recipe.rate is not None:
        return open_loop(service, setting.recipe.rate)
    return closed_loop(service, setting.recipe.concurrency or 1)
