"""Attacks that learn from answers.

PAIR (one line of tries), TAP (a tree that is pruned), best-of-N (one message in many spellings) and
crescendo (one conversation that climbs).
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Sequence
from typing import Protocol

import msgspec

from llmops_cli.redteam.attacker import Propose, Try
from llmops_cli.redteam.attempts import Attempt
from llmops_cli.redteam.judge import Verdict, judge
from llmops_cli.redteam.spellings import misspelled
from llmops_cli.redteam.suite import SearchMethod, SearchPlan


class AskModel(Protocol):
    """A user message to the target, after these exchanges; None if a filter stopped it."""

    def __call__(self, text: str, before: Sequence[Try] = ()) -> Awaitable[str | None]: ...


class Branch(msgspec.Struct, frozen=True):
    """Tries that follow one another, and how near the last one came."""

    tries: tuple[Try, ...]
    score: float


async def search(
    attempt: Attempt,
    ask: AskModel,
    propose: Propose,
) -> list[Try]:
    """Every try with its answer; a success ends the search and is the last one."""
    plan = attempt.search or SearchPlan()
    if plan.method is SearchMethod.BEST_OF_N:
        return await _best_of_n(attempt, plan, ask)
    if plan.method is SearchMethod.CRESCENDO:
        return await _crescendo(attempt, plan, ask, propose)
    return await _tree(attempt, plan, ask, propose)


async def _tree(
    attempt: Attempt,
    plan: SearchPlan,
    ask: AskModel,
    propose: Propose,
) -> list[Try]:
    """Source: PAIR, arXiv:2310.08419; TAP, arXiv:2312.02119."""
    tried: list[Try] = []
    leaves = [Branch((), 0.0)]
    for depth in range(plan.depth):
        grown: list[Branch] = []
        for leaf in leaves:
            messages = attempt.turns
            if depth > 0 or tried:
                messages = await propose(attempt.goal, leaf.tries, plan.branch)
            for text in messages:
                answer = await ask(text)
                if answer is None:
                    continue
                one = (text, answer)
                tried.append(one)
                verdict = judge(attempt, answer, said=text)
                if verdict.success:
                    return tried
                tries = (*leaf.tries, one)
                branch = Branch(tries, _nearness(verdict))
                grown.append(branch)
        grown.sort(key=lambda branch: -branch.score)
        leaves = grown[: plan.width] or leaves
    return tried


async def _best_of_n(
    attempt: Attempt,
    plan: SearchPlan,
    ask: AskModel,
) -> list[Try]:
    """The same message in `depth` spellings, the first as it is. Source: arXiv:2412.03556."""
    chance = random.Random(f"{attempt.number}/{attempt.goal}/spellings")
    tried: list[Try] = []
    message = attempt.turns[-1]
    for number in range(plan.depth):
        text = misspelled(message, chance) if number else message
        answer = await ask(text)
        if answer is None:
            continue
        tried.append((text, answer))
        if judge(attempt, answer, said=text).success:
            break
    return tried


async def _crescendo(
    attempt: Attempt,
    plan: SearchPlan,
    ask: AskModel,
    propose: Propose,
) -> list[Try]:
    """A conversation in `depth` messages; what was refused is taken back and asked otherwise.

    Source: arXiv:2404.01833.
    """
    tried: list[Try] = []
    kept: list[Try] = []
    for _ in range(plan.depth):
        (text,) = await propose(attempt.goal, kept, 1)
        answer = await ask(text, kept)
        if answer is None:
            continue
        one = (text, answer)
        tried.append(one)
        verdict = judge(attempt, answer, said=text)
        if verdict.success:
            break
        if not verdict.refused or not kept:
            kept.append(one)
    return tried


def _nearness(verdict: Verdict) -> float:
    return verdict.compliance - verdict.refused
