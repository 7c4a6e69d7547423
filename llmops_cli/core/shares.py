"""A share of trials that follow one another in time, and how sure it is.

Shapes: B blocks of time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from llmops_cli.core.effective import design_effect
from llmops_cli.core.stats import share_interval


class Share(NamedTuple):
    """With its 95 % interval; 0 without trials."""

    value: float
    ci95: tuple[float, float]


def share_in_blocks(hits: Mapping[int, int], trials: Mapping[int, int]) -> Share:
    """From how many there were in each block, by its number in order of time.

    Trials that come out alike in a spell count for as many as would leave the blocks as different.
    """
    import numpy as np

    numbers = sorted(trials)
    hits_B = np.array([hits.get(number, 0) for number in numbers], dtype=float)
    trials_B = np.array([trials[number] for number in numbers], dtype=float)
    hit = float(hits_B.sum())
    total = float(trials_B.sum())
    effect = 1.0
    if len(numbers) > 1:
        effect = design_effect(hits_B, trials_B)
    value = hit / max(1.0, total)
    return Share(value, share_interval(hit / effect, total / effect))
