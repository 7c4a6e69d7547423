"""How sure a ratio of two sums is, such as requests over seconds, from the sums of blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llmops_cli.core.effective import lengthening
from llmops_cli.core.significance import t_limit

FEWEST_BLOCKS = 10


def ratio_limits_95(tops: Sequence[float], bottoms: Sequence[float]) -> tuple[float, float] | None:
    """By which factors the ratio may be less and more, with a chance of 95 %: (0.9, 1.15).

    From what each block leaves over once its bottom has had its share. Durations are skewed, and an
    interval that is not would miss on one side: Student's t is bent by their skewness (the cubic
    transformation). The variance of a heavy tail is known as badly as one of fewer draws, which its
    kurtosis tells. Blocks are in order of time: where neighbours are alike they count for fewer.
    None with too few blocks. Source: Hall 1992; Satterthwaite 1946.
    """
    import numpy as np

    count = len(tops)
    whole = math.fsum(tops)
    below = math.fsum(bottoms)
    if count < FEWEST_BLOCKS or whole <= 0 or below <= 0:
        return None
    ratio = whole / below
    mean = whole / count
    rests = [(top - ratio * bottom) / mean for top, bottom in zip(tops, bottoms, strict=True)]
    squares = math.fsum(rest**2 for rest in rests)
    spread = math.sqrt(squares / (count - 1))
    if spread == 0:
        return 1.0, 1.0
    cubes = math.fsum(rest**3 for rest in rests)
    skewness = cubes / count / spread**3
    kurtosis = math.fsum(rest**4 for rest in rests) / count / spread**4
    independent = count / lengthening(np.array(rests))
    freedom = min(independent - 1, 2 * independent / max(1.0, kurtosis - 1))
    reach = t_limit(freedom) / math.sqrt(independent)
    up = _unbent(reach, skewness, independent)
    down = _unbent(-reach, skewness, independent)
    low = max(0.0, 1 - spread * up)
    return low, 1 - spread * down


def _unbent(
    deviate: float,
    skewness: float,
    count: float,
) -> float:
    """The studentized mean that has this normal deviate, under the skewness."""
    if abs(skewness) < 1e-6:
        return deviate
    shifted = deviate - skewness / (6 * count)
    root = math.cbrt(1 + skewness * shifted)
    return 3 / skewness * (root - 1)
