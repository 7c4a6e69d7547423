"""What rolls a canary back."""

from __future__ import annotations

import pytest

from llmops_cli.gateway_file.model import CanaryConfig
from llmops_cli.serve.upstreams.canary import EDGES_S, SideStats, verdict


def side(requests: int, errors: int, ttft_s: float) -> SideStats:
    bucket = next(i for i, edge in enumerate(EDGES_S) if edge >= ttft_s)
    return SideStats(requests=requests, errors=errors, ttft={bucket: requests - errors})


@pytest.mark.parametrize(
    ("stable", "canary", "bad"),
    [
        (side(1000, 0, 0.1), side(100, 0, 0.1), False),
        (side(1000, 0, 0.1), side(100, 3, 0.1), False),
        (side(1000, 0, 0.1), side(100, 10, 0.1), True),
        (side(1000, 100, 0.1), side(100, 12, 0.1), False),
        (side(1000, 0, 0.1), side(10, 10, 0.1), False),
        (side(1000, 0, 0.1), side(100, 0, 0.2), True),
        (side(1000, 0, 0.1), side(100, 0, 0.14), False),
        (side(5, 0, 0.1), side(100, 0, 0.9), False),
        (side(1000, 0, 0.1), side(100, 100, 0.1), True),
    ],
)
def test_what_rolls_a_canary_back(stable: SideStats, canary: SideStats, bad: bool) -> None:
    config = CanaryConfig(use=["x"])
    assert bool(verdict(config, {"stable": stable, "canary": canary})) is bad
