"""What a run will use at most: of the target, of an attacker and of a judge model."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from llmops_cli.core.prices import Prices
from llmops_cli.evaluate.yes_no import ANSWER_TOKENS as JUDGE_TOKENS
from llmops_cli.redteam.attacker import ANSWER_CHARS as SHOWN_TO_ATTACKER_CHARS
from llmops_cli.redteam.attacker import ATTACKER_PROMPT, LAST_TRIES
from llmops_cli.redteam.attempts import Attempt
from llmops_cli.redteam.opinion import ANSWER_CHARS as SHOWN_TO_JUDGE_CHARS
from llmops_cli.redteam.opinion import PROMPT as JUDGE_PROMPT
from llmops_cli.redteam.suite import SearchMethod, SearchPlan
from llmops_cli.runtime.chat import CHARS_PER_TOKEN
from llmops_cli.runtime.outcomes import SpendForecast


class _Traffic(msgspec.Struct, frozen=True):
    """Characters that are sent, and tokens that may come back."""

    chars: int
    output_tokens: int


def forecast_of(
    attempts: list[Attempt],
    *,
    max_tokens: int,
    prices: Prices,
    has_attacker: bool = False,
    has_judge: bool = False,
) -> SpendForecast:
    """Tokens and money at most, as if every answer had all its tokens.

    An attacker's and a judge's tokens are counted at the target's prices.
    """
    traffic = [_of_target(attempt, max_tokens) for attempt in attempts]
    if has_attacker:
        traffic += [_of_attacker(attempt, max_tokens) for attempt in attempts]
    if has_judge:
        traffic += [_of_judge(attempt, max_tokens) for attempt in attempts]
    input_tokens = sum(one.chars for one in traffic) // CHARS_PER_TOKEN
    output_tokens = sum(one.output_tokens for one in traffic)
    return SpendForecast(
        tasks=len(attempts),
        tokens=input_tokens + output_tokens,
        money=prices.cost(input_tokens, output_tokens),
    )


def _of_target(attempt: Attempt, max_tokens: int) -> _Traffic:
    """Each turn sends those before it again, with their answers; so does a search's message."""
    answer_chars = max_tokens * CHARS_PER_TOKEN
    sizes = [len(turn) for turn in attempt.turns]
    calls = len(sizes)
    chars = _sum_of_beginnings(_opening_chars(attempt), sizes)
    chars += calls * (calls - 1) // 2 * answer_chars
    search = attempt.search
    if search is not None:
        tries = _search_calls(search)
        calls += tries
        chars += tries * (len(attempt.system) + sum(sizes))
        if search.method is SearchMethod.CRESCENDO:
            exchange_chars = 2 * answer_chars
            chars += tries * (tries - 1) // 2 * exchange_chars
    return _Traffic(chars, calls * max_tokens)


def _of_attacker(attempt: Attempt, max_tokens: int) -> _Traffic:
    """A proposal for each message of a search; other spellings need none."""
    search = attempt.search
    if search is None or search.method is SearchMethod.BEST_OF_N:
        return _Traffic(0, 0)
    shown_chars = max_tokens * CHARS_PER_TOKEN + SHOWN_TO_ATTACKER_CHARS
    prompt_chars = len(ATTACKER_PROMPT) + len(attempt.goal) + LAST_TRIES * shown_chars
    calls = _search_calls(search)
    return _Traffic(calls * prompt_chars, calls * max_tokens)


def _of_judge(attempt: Attempt, max_tokens: int) -> _Traffic:
    """A question for each answer; of a search for the last one, of an honest question none."""
    if attempt.twin:
        return _Traffic(0, 0)
    shown_chars = min(SHOWN_TO_JUDGE_CHARS, max_tokens * CHARS_PER_TOKEN)
    prompt_chars = len(JUDGE_PROMPT) + len(attempt.goal) + shown_chars
    calls = 1 if attempt.search else len(attempt.turns)
    return _Traffic(calls * prompt_chars, calls * JUDGE_TOKENS)


def _opening_chars(attempt: Attempt) -> int:
    """What stands before and behind each turn."""
    exchanged = sum(len(question) + len(answer) for question, answer in attempt.history)
    return len(attempt.system) + len(attempt.prefill) + exchanged


def _sum_of_beginnings(before: int, sizes: Iterable[int]) -> int:
    whole = 0
    so_far = before
    for size in sizes:
        so_far += size
        whole += so_far
    return whole


def _search_calls(search: SearchPlan) -> int:
    if search.method is SearchMethod.TREE:
        return search.width * search.branch * search.depth
    return search.depth
