"""Which sample comes at which place of the endless stream: a pure function of seed and place.

Never of how many read it. Nothing is kept in memory, however many samples there are.
"""

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from _shared.protocol import JobError

BLOCK = 1000
"""Places in which each weighted file has exactly its share."""
ROUNDS = 6
WORD = (1 << 64) - 1


class Place(NamedTuple):
    """A sample: which file, and the how-manieth of its split."""

    file: int
    number: int


class Order:
    """The stream over files of these sizes: each file's samples once an epoch, in a new order.

    Without weights an epoch is all rows of all files. With weights a file has its share of every
    block of places, and epochs of its own.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        weights: Sequence[float] | None,
        seed: int,
    ) -> None:
        self.sizes = tuple(sizes)
        self.size = sum(sizes)
        self._seed = mix(seed & WORD)
        self._ends = tuple(accumulate(sizes))
        self._quotas: tuple[int, ...] | None = None
        if weights is not None:
            self._quotas = quotas_of(weights)
            self._quota_ends = tuple(accumulate(self._quotas))

    def place(self, position: int) -> Place:
        if self._quotas is not None:
            return self._weighted(position, self._quotas)
        epoch, index = divmod(position, self.size)
        chosen = shuffled(index, self.size, key=_key(self._seed, 0, epoch))
        return _within(chosen, self._ends)

    def shares(self) -> tuple[float, ...]:
        """What part of the stream each file is."""
        if self._quotas is None:
            return tuple(size / self.size for size in self.sizes)
        return tuple(quota / BLOCK for quota in self._quotas)

    def _weighted(self, position: int, quotas: tuple[int, ...]) -> Place:
        block, slot = divmod(position, BLOCK)
        mixed = shuffled(slot, BLOCK, key=_key(self._seed, 1, block))
        file, number = _within(mixed, self._quota_ends)
        epoch, index = divmod(block * quotas[file] + number, self.sizes[file])
        chosen = shuffled(index, self.sizes[file], key=_key(self._seed, 2 + file, epoch))
        return Place(file, chosen)


def quotas_of(weights: Sequence[float]) -> tuple[int, ...]:
    """Whole places out of a block for each weight, by largest remainders.

    Raises: JobError for a weight too small to get one.
    """
    exact = [Fraction(weight) for weight in weights]
    total = sum(exact)
    shares = [weight * BLOCK / total for weight in exact]
    quotas = [int(share) for share in shares]
    by_rest = sorted(range(len(shares)), key=lambda file: quotas[file] - shares[file])
    for file in by_rest[: BLOCK - sum(quotas)]:
        quotas[file] += 1
    if 0 in quotas:
        least = weights[quotas.index(0)]
        message = f"a weight of {least:g} is less than one sample in {BLOCK}"
        raise JobError("UsageError", message, "leave the file out, or give it more")
    return tuple(quotas)


def shuffled(index: int, count: int, *, key: int) -> int:
    """Where a random permutation of `count` takes `index`.

    A Feistel network over the next even power of two, walked until it ends below `count`
    (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002, section 3).
    """
    half_bits = max(1, ((count - 1).bit_length() + 1) // 2)
    mask = (1 << half_bits) - 1
    keys = _round_keys(key)
    while True:
        left = index >> half_bits
        right = index & mask
        for round_key in keys:
            turned = left ^ (mix(right ^ round_key) & mask)
            left = right
            right = turned
        index = left << half_bits | right
        if index < count:
            return index


@lru_cache(maxsize=64)
def _round_keys(key: int) -> tuple[int, ...]:
    """Of a few epochs of a few files at a time."""
    return tuple(mix(key + number) for number in range(ROUNDS))


def mix(word: int) -> int:
    """A 64-bit word whose every bit depends on all of `word`'s: splitmix64's finaliser."""
    word = (word + 0x9E3779B97F4A7C15) & WORD
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & WORD
    word = (word ^ word >> 27) * 0x94D049BB133111EB & WORD
    return word ^ word >> 31


def _key(seed: int, stream: int, epoch: int) -> int:
    return mix(mix(seed ^ mix(stream)) ^ mix(epoch ^ WORD))


def _within(index: int, ends: Sequence[int]) -> Place:
    file = bisect_right(ends, index)
    begin = ends[file - 1] if file else 0
    return Place(file, index - begin)
