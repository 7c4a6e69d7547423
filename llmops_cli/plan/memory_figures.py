"""What lies in memory, as figures."""

from __future__ import annotations

from llmops_cli.plan.memory import rules_of
from llmops_cli.plan.setting import Setting
from llmops_cli.sizing.figures import Figure, counted, decided, missing


def held_figures(setting: Setting) -> dict[str, Figure]:
    """What lies in memory."""
    return {
        "fits": _fits(setting),
        "weights_bytes": counted(
            setting.load.weights_bytes,
            f"{setting.load.parameters:,.0f} parameters as {setting.load.scheme}",
            _source(setting),
            spread=setting.load.spread,
        ),
        "kv_bytes_per_token": counted(
            setting.load.cache_bytes_per_token,
            f"cached values of {setting.load.layers} layers as {setting.recipe.kv_type}",
            _source(setting),
            spread=setting.load.spread,
        ),
        "kv_pool_bytes": Figure(
            value=setting.room.pool,
            low=setting.room.pool_low,
            high=setting.room.pool_high,
            formula=setting.room.formula,
            source=setting.place.gpu.facts.source,
        ),
        "max_concurrency": _max_concurrency(setting),
    }


def _source(setting: Setting) -> str:
    if setting.load.spread:
        return "extrapolated: the shape of another family"
    return "the model's shape"


def _fits(setting: Setting) -> Figure:
    wanted = setting.recipe.concurrency or 1
    room = setting.room
    if setting.is_split:
        return decided(
            is_so=False,
            at_worst=False,
            at_best=False,
            formula="all layers on the cards, and some stay in main memory",
        )
    return decided(
        is_so=room.sequences >= wanted and room.pool > 0,
        at_worst=room.sequences_low >= wanted and room.pool_low > 0,
        at_best=room.sequences_high >= wanted and room.pool_high > 0,
        formula=(
            f"{wanted} x cache of {setting.recipe.context} tokens <= {room.formula}, "
            f"on {setting.place.in_words}"
        ),
    )


def _max_concurrency(setting: Setting) -> Figure:
    rules = rules_of(setting.engine)
    each = setting.load.allocated_bytes(setting.recipe.context, rules)
    if each == 0:
        return missing("a model without a cache: its states are small")
    return Figure(
        value=setting.room.sequences,
        low=setting.room.sequences_low,
        high=setting.room.sequences_high,
        formula=(
            f"pool / {each:,.0f} bytes of {setting.recipe.context} tokens as {setting.engine} "
            f"allocates them{_copied(setting)}"
        ),
        source="kv_pool_bytes",
    )


def _copied(setting: Setting) -> str:
    """How often the cards of a group have one and the same head."""
    heads = setting.load.kv_heads
    if heads is None or setting.place.tensor <= heads:
        return ""
    return f", {setting.place.tensor / heads:.3g} times: {heads} KV heads on {setting.place.tensor}"
