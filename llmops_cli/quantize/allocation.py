"""Which type each tensor of a file gets: the least predicted loss under a size. Pure.

One option for each tensor is a knapsack with groups. Upgrades taken in the order of loss saved per
byte, along the lower hull of each tensor's options, are the best there is at the sizes where they
end (the Lagrangian's solutions). Between two such sizes lies a single upgrade, which is much only
for the largest tensors, so all options of those are tried. What is tried does not depend on the
size, so that more room never gives a larger loss.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product

import msgspec

LARGEST = 2
"""Tensors of which every option is tried."""


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """A type that a tensor can have, and what it costs. `loss` is in nats."""

    type: str
    bits_per_weight: float
    size_bytes: int
    loss: float


Options = Mapping[str, Sequence[Option]]
"""What each tensor can be, by its name; at least one type each."""
Choice = dict[str, Option]


class Upgrade(msgspec.Struct, frozen=True, kw_only=True):
    """From one option of a tensor to a larger one that loses less."""

    tensor: str
    option: Option
    more_bytes: int
    less_loss: float

    @property
    def worth(self) -> float:
        """Loss saved by each byte."""
        return self.less_loss / self.more_bytes


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    """A choice for each tensor. No choice of this room has a loss below `least_loss`."""

    chosen: Choice
    size_bytes: int
    loss: float
    least_loss: float


def allocate(options: Options, room_bytes: int) -> Allocation | None:
    """The best choice found that takes `room_bytes` or less; None if no choice is so small."""
    best: Choice | None = None
    for choice in _choices(options, room_bytes):
        fits = size_of(choice) <= room_bytes
        if fits and (best is None or _order(choice) < _order(best)):
            best = choice
    if best is None:
        return None
    return Allocation(
        chosen=best,
        size_bytes=size_of(best),
        loss=loss_of(best),
        least_loss=least_loss(options, room_bytes),
    )


def smallest_choice(options: Options) -> Choice:
    """Each tensor as small as it can be."""
    return {name: hull(found)[0] for name, found in options.items()}


def size_of(choice: Choice) -> int:
    return sum(option.size_bytes for option in choice.values())


def loss_of(choice: Choice) -> float:
    return sum(option.loss for option in choice.values())


def uniform_choices(options: Options) -> Iterator[Choice]:
    """One number of bits for all; a tensor whose rows it does not divide takes the next larger."""
    every = {option.bits_per_weight for found in options.values() for option in found}
    for bits in sorted(every):
        yield {name: _of_bits(found, bits) for name, found in options.items()}


def hull(found: Sequence[Option]) -> list[Option]:
    """Options that are best at some price of a byte, smallest first: each saves less per byte."""
    kept: list[Option] = []
    for option in sorted(found, key=_size_then_loss):
        if kept and option.loss >= kept[-1].loss:
            continue
        while len(kept) > 1 and _is_above(kept[-2], kept[-1], option):
            kept.pop()
        kept.append(option)
    return kept


def upgrades_of(options: Options) -> list[Upgrade]:
    """Every step along every hull, the most worth first."""
    steps = []
    for name, found in options.items():
        kept = hull(found)
        steps += [_step(name, kept[at], kept[at + 1]) for at in range(len(kept) - 1)]
    return sorted(steps, key=lambda step: -step.worth)


def least_loss(options: Options, room_bytes: int) -> float:
    """A loss that no choice of this size can be below: the last upgrade is taken in part."""
    start = smallest_choice(options)
    room_left = room_bytes - size_of(start)
    loss = loss_of(start)
    for step in upgrades_of(options):
        if room_left <= 0:
            break
        share = min(1.0, room_left / step.more_bytes)
        loss -= share * step.less_loss
        room_left -= step.more_bytes
    return max(loss, 0.0)


def _choices(options: Options, room_bytes: int) -> Iterator[Choice]:
    """What is tried, each as far as the room goes."""
    yield from uniform_choices(options)
    upgrades = upgrades_of(options)
    largest = sorted(options, key=lambda name: -_span_bytes(options[name]))[:LARGEST]
    free = [step for step in upgrades if step.tensor not in largest]
    start = smallest_choice(options)
    for picked in product(*(options[name] for name in largest)):
        fixed = dict(zip(largest, picked, strict=True))
        yield _upgraded({**start, **fixed}, free, room_bytes)


def _upgraded(start: Choice, upgrades: Collection[Upgrade], room_bytes: int) -> Choice:
    """With upgrades in their order until one does not fit."""
    choice = dict(start)
    room_left = room_bytes - size_of(start)
    for step in upgrades:
        room_left -= step.more_bytes
        if room_left < 0:
            break
        choice[step.tensor] = step.option
    return choice


def _order(choice: Choice) -> tuple[float, int]:
    return loss_of(choice), size_of(choice)


def _size_then_loss(option: Option) -> tuple[int, float]:
    return option.size_bytes, option.loss


def _span_bytes(found: Sequence[Option]) -> int:
    sizes = [option.size_bytes for option in found]
    return max(sizes) - min(sizes)


def _of_bits(found: Sequence[Option], bits: float) -> Option:
    """The best of the smallest number of bits that is not below."""
    able = [option for option in found if option.bits_per_weight >= bits]
    if not able:
        able = [max(found, key=lambda option: option.bits_per_weight)]
    fewest = min(option.bits_per_weight for option in able)
    alike = [option for option in able if option.bits_per_weight == fewest]
    return min(alike, key=lambda option: option.loss)


def _step(name: str, smaller: Option, larger: Option) -> Upgrade:
    return Upgrade(
        tensor=name,
        option=larger,
        more_bytes=larger.size_bytes - smaller.size_bytes,
        less_loss=smaller.loss - larger.loss,
    )


def _is_above(before: Option, middle: Option, after: Option) -> bool:
    """Whether the middle lies on or above the line from the one before to the one after."""
    to_middle = _step("", before, middle)
    to_after = _step("", middle, after)
    return to_middle.worth <= to_after.worth
