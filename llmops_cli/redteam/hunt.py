"""`llmops redteam --target guard`: a search for texts that the guard lets through.

It begins with attacks that the guard stops, says each otherwise, and goes on from what came
nearest. A find counts only where a mutation's own check says that the attack is still in there.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from heapq import nsmallest

import msgspec

from llmops_cli.guard.check import Guard
from llmops_cli.redteam.mutations import MUTATIONS, mutated

DEEPEST = 3
"""Mutations on top of one another."""
BEAM_EACH = 4
"""Of the texts that a seed became and the guard stopped, those that the next step begins with."""
STEPS = {2: "in 2 steps", 3: "in 3 steps"}
"""What finds by more than one mutation are counted under."""
HUNT_FAMILIES = (*MUTATIONS, *STEPS.values())


class HuntSeed(msgspec.Struct, frozen=True):
    """An attack that the guard stops; `role` is whose words it is."""

    text: str
    role: str = "user"


class HuntTry(msgspec.Struct, frozen=True, kw_only=True):
    """A seed said otherwise, by a chain of mutations; `score`: the guard's evidence."""

    seed: HuntSeed
    text: str
    chain: tuple[str, ...]
    score: float
    stopped: bool

    @property
    def kind(self) -> str:
        """The mutation, or how many."""
        return STEPS.get(len(self.chain), self.chain[0])


class GuardHunt(msgspec.Struct, frozen=True, kw_only=True):
    """`offered`: seeds in all; those that the guard lets through as they are begin nothing."""

    offered: int
    seeds: list[HuntSeed]
    tries: list[HuntTry]
    is_whole: bool

    def finds(self) -> list[HuntTry]:
        """What came through, in the order in which it was found."""
        return [one for one in self.tries if not one.stopped]


def hunt(
    guard: Guard,
    seeds: Sequence[HuntSeed],
    *,
    most_tries: int,
    seed: int,
) -> Iterator[HuntTry]:
    """Tries until there are so many, or no new ones; the first step goes over all mutations."""
    chance = random.Random(seed)
    seen: set[str] = set()
    leaves = [HuntTry(seed=one, text=one.text, chain=(), score=0.0, stopped=True) for one in seeds]
    done = 0
    for _ in range(DEEPEST):
        pairs = [(leaf, name) for name in MUTATIONS for leaf in leaves]
        chance.shuffle(pairs)
        stopped: list[HuntTry] = []
        for leaf, name in pairs:
            if done >= most_tries:
                return
            one = _tried(guard, leaf, name, chance)
            if one is None or one.text in seen:
                continue
            seen.add(one.text)
            done += 1
            yield one
            if one.stopped:
                stopped.append(one)
        leaves = _nearest(stopped)


def caught(guard: Guard, seeds: Iterable[HuntSeed]) -> list[HuntSeed]:
    """Those that the guard stops, each text once."""
    unique = {seed.text: seed for seed in seeds}
    return [
        seed
        for seed in unique.values()
        if guard.check_input(seed.text, role=seed.role).action == "block"
    ]


def honest_stopped(guard: Guard, texts: Iterable[str], *, seed: int) -> list[HuntTry]:
    """Honest texts said otherwise in the same ways: a guard that stops the clothes is no better."""
    chance = random.Random(seed)
    found = []
    for text in texts:
        whole = HuntTry(seed=HuntSeed(text), text=text, chain=(), score=0.0, stopped=False)
        for name in MUTATIONS:
            one = _tried(guard, whole, name, chance)
            if one is not None:
                found.append(one)
    return found


def _tried(
    guard: Guard,
    leaf: HuntTry,
    name: str,
    chance: random.Random,
) -> HuntTry | None:
    if name in leaf.chain:
        return None
    text = mutated(MUTATIONS[name], leaf.text, chance)
    if text is None:
        return None
    decision = guard.check_input(text, role=leaf.seed.role)
    return HuntTry(
        seed=leaf.seed,
        text=text,
        chain=(*leaf.chain, name),
        score=decision.score,
        stopped=decision.action == "block",
    )


def _nearest(stopped: Sequence[HuntTry]) -> list[HuntTry]:
    """Of each seed those with least evidence."""
    by_seed: dict[str, list[HuntTry]] = {}
    for one in stopped:
        tries = by_seed.setdefault(one.seed.text, [])
        tries.append(one)
    return [
        near
        for tries in by_seed.values()
        for near in nsmallest(BEAM_EACH, tries, key=lambda one: (one.score, one.text))
    ]
