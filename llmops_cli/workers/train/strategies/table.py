"""Strategies by name."""

from train.names import named
from train.strategies import ddp, pp, single
from train.strategies.strategy import Build

STRATEGIES: dict[str, Build] = {
    "single": single.build,
    "ddp": ddp.build,
    "pp": pp.build,
}


def strategy_named(name: str) -> Build:
    """Raises: JobError for an unknown name."""
    return named(STRATEGIES, name, "strategy")
