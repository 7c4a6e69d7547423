"""Token lengths: `512`, `uniform:128-1024`, `normal:512,128`, `lognormal:512,0.6`,
`zipf:1.2,32-4096`.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable

from llmops_cli.core.errors import UsageError, unknown_name

Lengths = Callable[[random.Random], int]
"""Draws one length, at least 1."""

MOST_TOKENS = 10_000_000
HINT = "for example 512, uniform:128-1024, normal:512,128, lognormal:512,0.6 or zipf:1.2,32-4096"
_NUMBER = r"(\d+(?:\.\d+)?)"
_RANGE = r"(\d+)-(\d+)"
_GRAMMAR = {
    "uniform": re.compile(_RANGE),
    "normal": re.compile(rf"{_NUMBER},{_NUMBER}(?:,{_RANGE})?"),
    "lognormal": re.compile(rf"{_NUMBER},{_NUMBER}(?:,{_RANGE})?"),
    "zipf": re.compile(rf"{_NUMBER},{_RANGE}"),
}


def parse_lengths(text: int | str) -> Lengths:
    """`normal` and `lognormal` take mean (lognormal: median), deviation (of the logarithm) and an
    optional range.

    Raises: UsageError for anything else.
    """
    plain = str(text).strip()
    if plain.isdigit():
        return _fixed(int(plain))
    kind, colon, rest = plain.partition(":")
    if not colon:
        raise UsageError(f"'{plain}' is no token length", hint=HINT)
    if kind not in _GRAMMAR:
        raise unknown_name("length distribution", kind, _GRAMMAR)
    found = _GRAMMAR[kind].fullmatch(rest.strip())
    if not found:
        raise UsageError(f"'{plain}' is no token length", hint=HINT)
    return _MAKERS[kind]([float(part) for part in found.groups() if part is not None], plain)


def _fixed(length: int) -> Lengths:
    if not 1 <= length <= MOST_TOKENS:
        raise UsageError(f"{length} is no token length", hint=HINT)
    return lambda _: length


def _bounds(numbers: list[float], text: str) -> tuple[int, int]:
    low, high = (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 else (1, MOST_TOKENS)
    if not 1 <= low <= high <= MOST_TOKENS:
        raise UsageError(f"'{text}': the range must rise from at least 1", hint=HINT)
    return low, high


def _uniform(numbers: list[float], text: str) -> Lengths:
    low, high = _bounds(numbers, text)
    return lambda rng: rng.randint(low, high)


def _normal(numbers: list[float], text: str) -> Lengths:
    (mean, deviation), (low, high) = numbers[:2], _bounds(numbers[2:], text)
    return lambda rng: min(max(round(rng.gauss(mean, deviation)), low), high)


def _lognormal(numbers: list[float], text: str) -> Lengths:
    (median, sigma), (low, high) = numbers[:2], _bounds(numbers[2:], text)
    if median <= 0:
        raise UsageError(f"'{text}': the median must be positive", hint=HINT)
    return lambda rng: min(max(round(rng.lognormvariate(math.log(median), sigma)), low), high)


def _zipf(numbers: list[float], text: str) -> Lengths:
    """P(length) falls as length ** -exponent over the range, by inverting the continuous
    distribution function.
    """
    exponent, (low, high) = numbers[0], _bounds(numbers[1:], text)

    def draw(rng: random.Random) -> int:
        u = rng.random()
        if abs(exponent - 1) < 1e-9:
            return min(int(low * ((high + 1) / low) ** u), high)
        a = low ** (1 - exponent)
        b = (high + 1) ** (1 - exponent)
        return min(int((a + u * (b - a)) ** (1 / (1 - exponent))), high)

    return draw


_MAKERS = {"uniform": _uniform, "normal": _normal, "lognormal": _lognormal, "zipf": _zipf}
