"""Which cases train, validate and test: by a hash of their values.

The same case is always in the same split, also when a file grows, and two of the same values are
never in two splits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from llmops_cli.prompt.case_file.suite import Case
from llmops_cli.prompt.case_file.variables import case_key

HASH_BITS = 64


class Split(StrEnum):
    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class Splits(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of cases, in the order of their hashes: any first part of them is a fair sample."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]

    @property
    def every(self) -> tuple[int, ...]:
        return (*self.train, *self.validation, *self.test)

    @property
    def sizes(self) -> dict[str, int]:
        return {
            Split.TRAIN: len(self.train),
            Split.VALIDATION: len(self.validation),
            Split.TEST: len(self.test),
        }


def place_of(variables: Mapping[str, object]) -> float:
    """From 0 to 1, by the values alone."""
    raw = hashlib.sha256(case_key(variables).encode(errors="surrogatepass")).digest()
    return int.from_bytes(raw[: HASH_BITS // 8], "big") / (1 << HASH_BITS)


def split_of(place: float, *, train: float, validation: float) -> Split:
    if place < train:
        return Split.TRAIN
    if place < train + validation:
        return Split.VALIDATION
    return Split.TEST


def split_cases(
    cases: Sequence[Case],
    numbers: Sequence[int],
    *,
    train: float,
    validation: float,
) -> Splits:
    """Each of the cases with these numbers in one of them."""
    places = {number: place_of(cases[number].variables) for number in numbers}
    found: dict[Split, list[int]] = {split: [] for split in Split}
    for number in sorted(numbers, key=places.__getitem__):
        split = split_of(places[number], train=train, validation=validation)
        found[split].append(number)
    return Splits(
        train=tuple(found[Split.TRAIN]),
        validation=tuple(found[Split.VALIDATION]),
        test=tuple(found[Split.TEST]),
    )
