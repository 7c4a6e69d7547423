"""Strategies by name."""

from train.names import named
from train.strategies import ddp, fsdp, fsdp_pp, fsdp_tp, hsdp, pp, single, tp, zero
from train.strategies.strategy import Build

STRATEGIES: dict[str, Build] = {
    "single": single.build,
    "ddp": ddp.build,
    "fsdp": fsdp.build,
    "hsdp": hsdp.build,
    "tp": tp.build,
    "fsdp+tp": fsdp_tp.build,
    "pp": pp.build,
    "fsdp+pp": fsdp_pp.build,
    "zero1": zero.build_1,
    "zero2": zero.build_2,
    "zero3": zero.build_3,
}

ON_META = frozenset({"fsdp", "hsdp", "tp", "fsdp+tp", "pp", "fsdp+pp", "zero3"})
"""Those that are given a model without memory, and fill each rank's part of it."""


def strategy_named(name: str) -> Build:
    """Raises: JobError for an unknown name."""
    return named(STRATEGIES, name, "strategy")
