"""Neighbours of a prompt: one step away, in an order that the seed decides."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from itertools import zip_longest

import msgspec

from llmops_cli.prompt.optimize.candidate import Candidate, Instruction, Place
from llmops_cli.prompt.optimize.wordings import OWN

SWAPS = 8
DRAWS = 12
"""Of examples to add or to put in another's place, each; there may be thousands."""
SETS = (2, 4)
"""Sizes of whole sets of examples that a prompt without any may begin with."""


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """What a prompt may be made of: names of wordings, numbers of cases that may be examples."""

    wordings: tuple[str, ...]
    examples: tuple[int, ...]
    most_examples: int


def neighbours(
    current: Candidate,
    space: Space,
    *,
    seen: Collection[Candidate],
    chance: random.Random,
) -> list[Candidate]:
    """Those not seen yet. Instructions and examples take turns, the user's own wordings first."""
    instructions = _instructions(current, space, chance)
    examples = _examples(current, space, chance)
    found: dict[Candidate, None] = {}
    for pair in zip_longest(instructions, examples):
        for each in pair:
            if each is not None and each not in seen and each != current:
                found[each] = None
    own = [each for each in found if _is_own(each)]
    return [*own, *(each for each in found if not _is_own(each))]


def _is_own(candidate: Candidate) -> bool:
    instruction = candidate.instruction
    return instruction is not None and instruction.wording.startswith(f"{OWN}-")


def _instructions(current: Candidate, space: Space, chance: random.Random) -> list[Candidate]:
    """Every wording at its first place before any at its second."""
    found = []
    for place in Place:
        names = list(space.wordings)
        chance.shuffle(names)
        found += [Instruction(wording=name, place=place) for name in names]
    options: list[Instruction | None] = [*found, None]
    return [msgspec.structs.replace(current, instruction=each) for each in options]


def _examples(current: Candidate, space: Space, chance: random.Random) -> list[Candidate]:
    orders = _orders(current.examples, space, chance)
    chance.shuffle(orders)
    return [msgspec.structs.replace(current, examples=order) for order in orders]


def _orders(
    examples: tuple[int, ...],
    space: Space,
    chance: random.Random,
) -> list[tuple[int, ...]]:
    """One added, one left out, one in another's place, two that change places."""
    others = [number for number in space.examples if number not in examples]
    chance.shuffle(others)
    found: list[tuple[int, ...]] = []
    if len(examples) < space.most_examples:
        found += [(*examples, each) for each in others[:DRAWS]]
    for number in range(len(examples)):
        found.append((*examples[:number], *examples[number + 1 :]))
        found += [_put(examples, number, each) for each in others[: DRAWS // len(examples)]]
    found += _swapped(examples)[:SWAPS]
    if not examples:
        sizes = [size for size in SETS if size <= min(space.most_examples, len(others))]
        found += [tuple(chance.sample(others, size)) for size in sizes for _ in range(2)]
    return found


def _put(examples: Sequence[int], place: int, other: int) -> tuple[int, ...]:
    return (*examples[:place], other, *examples[place + 1 :])


def _swapped(examples: tuple[int, ...]) -> list[tuple[int, ...]]:
    found = []
    for first in range(len(examples)):
        for second in range(first + 1, len(examples)):
            order = list(examples)
            order[first] = examples[second]
            order[second] = examples[first]
            found.append(tuple(order))
    return found
