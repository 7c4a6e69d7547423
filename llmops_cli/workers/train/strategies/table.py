"""Strategies by name."""

from train.names import named
from train.strategies import ddp, fsdp, hsdp, pp, single
from train.strategies.strategy import Build

STRATEGIES: dict[str, Build] = {
    "single": single.build,
    "ddp": ddp.build,
    "fsdp": fsdp.build,
    "hsdp": hsdp.build,
    "pp": pp.build,
}


def strategy_named(name: str) -> Build:
    """Raises: JobError for an unknown name."""
    return named(STRATEGIES, name, "strategy")
