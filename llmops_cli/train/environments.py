"""Which environment a strategy's ranks run in."""

from __future__ import annotations

ENVIRONMENTS = {"zero1": "deepspeed", "zero2": "deepspeed", "zero3": "deepspeed"}
"""Where it is not the one that all others train in."""


def environment_of(strategy: str) -> str:
    return ENVIRONMENTS.get(strategy, "train")
