"""Which strategy to take, by a rule that can be said: what fits, then fastest, then simplest.

Two strategies whose predicted speeds differ by less than the prediction can tell count as alike,
and then the one that comes first in STRATEGIES wins. DeepSpeed's stages are never chosen: they need
an environment of their own and do what FSDP does.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from llmops_cli.sizing.advice import advice_for, advice_of, faster_for
from llmops_cli.sizing.architecture import Architecture
from llmops_cli.sizing.devices import Cluster
from llmops_cli.sizing.layout import STRATEGIES, Degrees, Layout
from llmops_cli.sizing.memory import DeviceMemory
from llmops_cli.sizing.options import Option, memory_on
from llmops_cli.sizing.quantities import gb
from llmops_cli.sizing.work import Work

ALIKE = 0.10
"""Predicted speeds closer than this are the same."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """`option` is None where nothing fits; `advice` then says what would, else what is faster."""

    option: Option | None
    reason: str
    advice: tuple[str, ...] = ()


def choose(
    architecture: Architecture,
    work: Work,
    cluster: Cluster,
    *,
    options: Sequence[Option],
    degrees: Degrees,
) -> Choice:
    candidates = [option for option in options if not option.strategy.startswith("zero")]
    fitting = [option for option in candidates if option.fits]
    if not fitting:
        return refuse(architecture, work, cluster, options=candidates, degrees=degrees)
    fastest = max(option.tokens_per_s for option in fitting)
    alike = [option for option in fitting if option.tokens_per_s >= fastest * (1 - ALIKE)]
    chosen = min(alike, key=lambda option: STRATEGIES.index(option.strategy))
    reason = _reason(architecture, work, cluster, chosen=chosen, fitting=fitting)
    faster = faster_for(
        architecture, work, cluster, chosen=chosen, options=candidates, degrees=degrees
    )
    return Choice(option=chosen, reason=reason, advice=faster)


def asked_for(
    architecture: Architecture,
    work: Work,
    cluster: Cluster,
    *,
    option: Option,
    options: Sequence[Option],
    degrees: Degrees,
) -> Choice:
    """The strategy that was named, whether or not another would be better.

    Where it does not fit and another of `options` does as it is, that one is said before what is
    far slower, such as offloading.
    """
    if option.fits:
        reason = _reason(architecture, work, cluster, chosen=option, fitting=[option])
        return Choice(option=option, reason=reason)
    other = choose(architecture, work, cluster, options=options, degrees=degrees).option
    if other is None:
        return refuse(architecture, work, cluster, options=[option], degrees=degrees)
    advice = (f"--strategy {other.strategy}",)
    if option.memory is None:
        hints = () if option.hint is None else (option.hint,)
        return Choice(option=None, reason=str(option.refusal), advice=hints or advice)
    own = advice_of(architecture, work, cluster, option=option, degrees=degrees)
    needs = _needs(option.memory, cluster)
    reason = f"{_over(option, cluster)} does not fit: it needs {needs}"
    return Choice(option=None, reason=reason, advice=(*own, *advice))


def refuse(
    architecture: Architecture,
    work: Work,
    cluster: Cluster,
    *,
    options: Sequence[Option],
    degrees: Degrees,
) -> Choice:
    possible = [option for option in options if option.memory is not None]
    if not possible:
        return _impossible(cluster, options)
    least = min(possible, key=lambda option: option.total_bytes)
    memory = least.memory
    assert memory is not None
    needs = _needs(memory, cluster)
    reason = f"nothing fits: {_over(least, cluster)} needs least, {needs}"
    advice = advice_for(architecture, work, cluster, options=possible, degrees=degrees)
    return Choice(option=None, reason=reason, advice=advice)


def _impossible(cluster: Cluster, options: Sequence[Option]) -> Choice:
    """In the words of the simplest strategy, of several processes if there are several."""
    told = options[0]
    for option in options:
        if cluster.devices == 1 or option.strategy != "single":
            told = option
            break
    hints = () if told.hint is None else (told.hint,)
    return Choice(option=None, reason=f"no strategy is possible: {told.refusal}", advice=hints)


def _over(option: Option, cluster: Cluster) -> str:
    if option.layout is None or option.layout.devices == 1:
        return option.strategy
    parts = f" ({option.layout.in_words})" if "+" in option.strategy else ""
    return f"{option.strategy} over {cluster.devices}{parts}"


def _needs(memory: DeviceMemory, cluster: Cluster) -> str:
    return (
        f"{gb(memory.total)} a device ({_largest(memory)}), "
        f"of the {gb(cluster.usable_bytes)} of {cluster.device.name}"
    )


def states_bytes(memory: DeviceMemory) -> float:
    return memory.weights + memory.gradients + memory.optimizer


def _largest(memory: DeviceMemory) -> str:
    """The two parts that need most."""
    parts = {
        "weights, gradients and optimizer": states_bytes(memory),
        "activations": memory.activations,
        "logits and recomputation": memory.workspace,
        "communication": memory.communication,
    }
    ordered = sorted(parts.items(), key=lambda part: part[1], reverse=True)
    return ", ".join(f"{name} {gb(size)}" for name, size in ordered[:2])


def _reason(
    architecture: Architecture,
    work: Work,
    cluster: Cluster,
    *,
    chosen: Option,
    fitting: Sequence[Option],
) -> str:
    assert chosen.memory is not None
    assert chosen.layout is not None
    alone = memory_on(architecture, work, Layout(strategy="single"), cluster)
    own = states_bytes(chosen.memory)
    whole = states_bytes(alone)
    if own < 0.95 * whole:
        first = (
            f"weights, gradients and optimizer need {gb(whole)} on a device alone, {gb(own)} "
            "spread so"
        )
    else:
        first = f"weights, gradients and optimizer, {gb(own)}, are whole on each device"
    used = f"{gb(chosen.memory.total)} of {gb(cluster.usable_bytes)} are used in all"
    words = [first, used]
    if chosen.layout.offload != "none":
        words.append(f"{gb(chosen.memory.host)} of main memory a device")
    if len(fitting) > 1:
        words.append(_why_it(chosen, fitting))
    return f"{_over(chosen, cluster)}: " + "; ".join(words)


def _why_it(chosen: Option, fitting: Sequence[Option]) -> str:
    fastest = max(fitting, key=lambda option: option.tokens_per_s)
    if fastest.strategy == chosen.strategy:
        return f"the fastest of {len(fitting)} that fit by prediction"
    return (
        f"simpler than {fastest.strategy}, whose predicted speed is within {ALIKE:.0%} of its own"
    )
