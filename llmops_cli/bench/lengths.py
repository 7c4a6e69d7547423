"""Token lengths, fixed or drawn from a distribution.

`512`, `uniform:128-1024`, `normal:512,128`, `lognormal:512,0.6`, `zipf:1.2,32-4096`.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from typing import NamedTuple

from llmops_cli.core.errors import UsageError, unknown_name

Lengths = Callable[[random.Random], int]
"""Draws one length, at least 1."""

MOST_TOKENS = 10_000_000
EXAMPLE = "for example 512, uniform:128-1024, normal:512,128, lognormal:512,0.6 or zipf:1.2,32-4096"
_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_RANGE = r"(\d+)-(\d+)"


class Bounds(NamedTuple):
    """The shortest and the longest length."""

    low: int
    high: int

    def clamp(self, length: float) -> int:
        rounded = max(round(length), self.low)
        return min(rounded, self.high)


def parse_lengths(text: int | str) -> Lengths:
    """`normal` takes mean and deviation, `lognormal` the median and the deviation of the logarithm.

    Both may have a range after them. Raises: UsageError for anything else.
    """
    plain = str(text).strip()
    if plain.isdigit():
        return _fixed(int(plain))
    kind, colon, rest = plain.partition(":")
    if not colon:
        raise _no_length(plain)
    if kind not in _DISTRIBUTIONS:
        raise unknown_name("length distribution", kind, _DISTRIBUTIONS)
    grammar, make = _DISTRIBUTIONS[kind]
    found = grammar.fullmatch(rest.strip())
    if found is None:
        raise _no_length(plain)
    groups = found.groups()
    numbers = [float(part) for part in groups if part is not None]
    return make(numbers, plain)


def _no_length(text: str) -> UsageError:
    return UsageError(f"'{text}' is no token length", hint=EXAMPLE)


def _bounds(numbers: list[float], text: str) -> Bounds:
    """The range at the end of a text; any length where it has none."""
    bounds = Bounds(1, MOST_TOKENS)
    if numbers:
        low, high = numbers
        bounds = Bounds(int(low), int(high))
    is_rising = bounds.low <= bounds.high
    is_inside = bounds.low >= 1 and bounds.high <= MOST_TOKENS
    if not is_rising or not is_inside:
        raise UsageError(f"'{text}': the range must rise from at least 1", hint=EXAMPLE)
    return bounds


def _fixed(length: int) -> Lengths:
    if not 1 <= length <= MOST_TOKENS:
        raise _no_length(str(length))
    return lambda _: length


def _uniform(numbers: list[float], text: str) -> Lengths:
    low, high = _bounds(numbers, text)
    return lambda rng: rng.randint(low, high)


def _normal(numbers: list[float], text: str) -> Lengths:
    mean, deviation, *rest = numbers
    bounds = _bounds(rest, text)

    def draw(rng: random.Random) -> int:
        length = rng.gauss(mean, deviation)
        return bounds.clamp(length)

    return draw


def _lognormal(numbers: list[float], text: str) -> Lengths:
    median, sigma, *rest = numbers
    bounds = _bounds(rest, text)
    if median <= 0:
        raise UsageError(f"'{text}': the median must be positive", hint=EXAMPLE)
    mu = math.log(median)

    def draw(rng: random.Random) -> int:
        length = rng.lognormvariate(mu, sigma)
        return bounds.clamp(length)

    return draw


def _zipf(numbers: list[float], text: str) -> Lengths:
    """P(length) falls as length ** -exponent over the range.

    Drawn by inverting the continuous distribution function.
    """
    exponent, *rest = numbers
    bounds = _bounds(rest, text)
    if abs(exponent - 1) < 1e-9:
        return _reciprocal(bounds)
    power = 1 - exponent
    start = bounds.low**power
    end = (bounds.high + 1) ** power
    width = end - start

    def draw(rng: random.Random) -> int:
        raised = start + rng.random() * width
        length = int(raised ** (1 / power))
        return min(length, bounds.high)

    return draw


def _reciprocal(bounds: Bounds) -> Lengths:
    """The limit of zipf at exponent 1."""
    ratio = (bounds.high + 1) / bounds.low

    def draw(rng: random.Random) -> int:
        length = bounds.low * ratio ** rng.random()
        return min(int(length), bounds.high)

    return draw


_DISTRIBUTIONS = {
    "uniform": (re.compile(_RANGE), _uniform),
    "normal": (re.compile(rf"{_NUMBER},{_NUMBER}(?:,{_RANGE})?"), _normal),
    "lognormal": (re.compile(rf"{_NUMBER},{_NUMBER}(?:,{_RANGE})?"), _lognormal),
    "zipf": (re.compile(rf"{_NUMBER},{_RANGE}"), _zipf),
}
