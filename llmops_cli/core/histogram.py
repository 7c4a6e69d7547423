"""Logarithmic buckets: values of any size in bounded memory, each within 0.25 %."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache

LOG_STEP = math.log(1.005)
LOG_ZERO = 1e-6


def key_of(value: float) -> int:
    """The bucket of a value, 0.5 % wide; values under 1e-6 share one."""
    exponent = math.log(max(value, LOG_ZERO))
    return math.floor(exponent / LOG_STEP)


def keys_of(values: Iterable[int], scale: float) -> list[int]:
    """The buckets of many values times `scale`; as key_of, without a call for each."""
    log = math.log
    floor = math.floor
    shift = math.log(scale)
    zero = key_of(0.0)
    return [
        max(floor((log(value) + shift) / LOG_STEP), zero) if value > 0 else zero for value in values
    ]


@cache
def value_of(key: int) -> float:
    """The middle of a bucket."""
    if key <= key_of(0.0):
        return 0.0
    return math.exp((key + 0.5) * LOG_STEP)
