"""Numbers within bounds: decimals of a fixed number of places, which are exact."""

from collections.abc import Hashable
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from _shared.grammars.nodes import CharSet, GrammarError, Unsatisfiable, chars_of

MOST_DIGITS = 15
"""What a float holds exactly."""
MOST_TRIED = 64
BASE_COST = 6


class Bounds(NamedTuple):
    """What a number is held to; None for no limit."""

    lowest: Decimal | None = None
    highest: Decimal | None = None
    is_above: bool = False
    is_below: bool = False
    step: Decimal | None = None
    is_integer: bool = False


class BoundedNumber:
    """A number within bounds. Its state is its text so far, which some valid number begins with."""

    def __init__(self, bounds: Bounds) -> None:
        """Raises: GrammarError if no number is within them."""
        self._digits = decimals_of(bounds)
        scale = Decimal(10) ** self._digits
        far = 10 ** (MOST_DIGITS - min(self._digits, MOST_DIGITS - 1)) - 1
        self._low = lowest_of(bounds, scale, -far)
        self._high = highest_of(bounds, scale, far)
        self._step = step_of(bounds, scale)
        self._divisor = None
        if bounds.step is not None and bounds.step != bounds.step.to_integral_value():
            self._divisor = float(bounds.step)
        self.start: Hashable = ""
        if not self._has(self._low, self._high):
            raise Unsatisfiable("no number is within these limits")

    def step(self, state: object, char: str) -> Hashable | None:
        if not isinstance(state, str) or char not in "-.0123456789":
            return None
        text = state + char
        return text if self._begins(text) else None

    def is_end(self, state: object) -> bool:
        text = str(state)
        if not text or not text[-1].isdigit():
            return False
        value = self._scaled(text)
        return self._has(value, value)

    def goes_on(self, state: object) -> bool:
        text = str(state)
        return any(self._begins(text + char) for char in ".0123456789")

    def next_chars(self, state: object) -> list[CharSet] | None:
        return [chars_of(char) for char in "-.0123456789"]

    def cost(self, state: object, following: object) -> int:
        return BASE_COST if self._divisor is None else 2 * BASE_COST

    def _scaled(self, text: str) -> int:
        whole, _, fraction = text.partition(".")
        digits = fraction.ljust(self._digits, "0")
        magnitude = int(whole.lstrip("-") + digits)
        return -magnitude if text.startswith("-") else magnitude

    def _begins(self, text: str) -> bool:
        """Whether some number within the bounds begins so."""
        is_negative = text.startswith("-")
        whole, point, fraction = text.removeprefix("-").partition(".")
        if "-" in whole + fraction or "." in fraction or len(fraction) > self._digits:
            return False
        if point and (not self._digits or not whole):
            return False
        if len(whole) > 1 and whole.startswith("0"):
            return False
        return any(
            self._has_magnitude(low, high, is_negative=is_negative)
            for low, high in self._spans(whole, point, fraction)
        )

    def _spans(self, whole: str, point: str, fraction: str) -> list[tuple[int, int]]:
        """The magnitudes that texts with this beginning have."""
        unit = 10**self._digits
        longest = max(len(str(abs(self._low))), len(str(abs(self._high))))
        if not whole:
            return [(0, 10**longest)]
        if point:
            size = 10 ** (self._digits - len(fraction))
            first = int(whole + fraction) * size
            return [(first, first + size - 1)]
        value = int(whole)
        spans = [(value * unit, (value + 1) * unit - 1)]
        if value:
            for more in range(1, max(1, longest - self._digits - len(whole) + 1)):
                size = 10**more * unit
                spans.append((value * size, (value + 1) * size - 1))
        return spans

    def _has_magnitude(self, low: int, high: int, *, is_negative: bool) -> bool:
        if is_negative:
            return self._has(-high, min(-low, -1))
        return self._has(low, high)

    def _has(self, low: int, high: int) -> bool:
        """Whether there is a number from `low` to `high`, in units of the last decimal place."""
        low = max(low, self._low)
        high = min(high, self._high)
        first = -(-low // self._step) * self._step
        if self._divisor is None:
            return first <= high
        return any(
            self._divides(value)
            for value in range(first, min(high, first + MOST_TRIED * self._step) + 1, self._step)
        )

    def _divides(self, value: int) -> bool:
        """Floats round: those that a validator would call no multiple are not written."""
        if self._divisor is None:
            return True
        quotient = float(Decimal(value).scaleb(-self._digits)) / self._divisor
        return int(quotient) == quotient


def decimals_of(bounds: Bounds) -> int:
    """Decimal places that are written at most. Raises: GrammarError if a limit has too many."""
    if bounds.is_integer and bounds.step is None:
        return 0
    if bounds.step is not None:
        places = 0 if bounds.is_integer else places_of(bounds.step)
    else:
        limits = [limit for limit in (bounds.lowest, bounds.highest) if limit is not None]
        places = max([2, *map(places_of, limits)]) + 2
    if places > MOST_DIGITS - 5:
        raise GrammarError("minimum, maximum, multipleOf: too many decimal places")
    return places


def step_of(bounds: Bounds, scale: Decimal) -> int:
    """In units of the last decimal place. The integers that 5/2 divides are those that 5 does."""
    if bounds.step is None:
        return 1
    if bounds.is_integer:
        return Fraction(bounds.step).numerator
    return int(bounds.step * scale)


def places_of(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def lowest_of(bounds: Bounds, scale: Decimal, default: int) -> int:
    if bounds.lowest is None:
        floor = default * int(scale)
        if bounds.highest is not None and bounds.highest * scale < floor:
            raise GrammarError(f"maximum: {bounds.highest} is too far from 0")
        return floor
    exact = bounds.lowest * scale
    if abs(exact) > Decimal(10) ** (MOST_DIGITS + 3):
        if exact < 0:
            return default * int(scale)
        raise GrammarError(f"minimum: {bounds.lowest} is too far from 0")
    low = int(exact.to_integral_value(rounding="ROUND_CEILING"))
    return low + 1 if bounds.is_above and low == exact else low


def highest_of(bounds: Bounds, scale: Decimal, default: int) -> int:
    if bounds.highest is None:
        ceiling = default * int(scale)
        if bounds.lowest is not None and bounds.lowest * scale > ceiling:
            raise GrammarError(f"minimum: {bounds.lowest} is too far from 0")
        return ceiling
    exact = bounds.highest * scale
    if abs(exact) > Decimal(10) ** (MOST_DIGITS + 3):
        if exact > 0:
            return default * int(scale)
        raise GrammarError(f"maximum: {bounds.highest} is too far from 0")
    high = int(exact.to_integral_value(rounding="ROUND_FLOOR"))
    return high - 1 if bounds.is_below and high == exact else high
