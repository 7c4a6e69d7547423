"""Of two copies of a request, the first good answer counts and the other is stopped."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmops_cli.serve.upstreams.errors import UpstreamError
from llmops_cli.serve.upstreams.hedge import hedged


class Answer:
    """As much of an exchange as a hedge looks at."""

    def __init__(self, *, is_bad: bool = False) -> None:
        self.is_bad = is_bad
        self.ended = False

    def lose(self) -> None:
        self.ended = True


async def after(seconds: float, answer: Answer | UpstreamError) -> Any:
    await asyncio.sleep(seconds)
    if isinstance(answer, UpstreamError):
        raise answer
    return answer


def run(
    first: tuple[float, Answer | UpstreamError],
    second: tuple[float, Answer | UpstreamError] | None,
) -> Any:
    async def go() -> Any:
        copy = None if second is None else (lambda: after(*second))
        found = await hedged(after(*first), copy or (lambda: None), after_s=0.01)
        await asyncio.sleep(0)
        return found

    return asyncio.run(go())


def test_a_quick_answer_needs_no_copy() -> None:
    answer = Answer()
    assert run((0.0, answer), (0.0, UpstreamError("it was asked"))) is answer


def test_the_copy_answers_for_one_that_is_slow() -> None:
    copy = Answer()
    assert run((5.0, Answer()), (0.0, copy)) is copy


def test_a_bad_copy_is_not_taken_before_a_good_answer() -> None:
    answer = Answer()
    copy = Answer(is_bad=True)
    assert run((0.05, answer), (0.0, copy)) is answer
    assert not answer.ended


def test_without_a_copy_the_slow_one_is_waited_for() -> None:
    answer = Answer()
    assert run((0.03, answer), None) is answer


def test_two_failures_are_the_firsts() -> None:
    with pytest.raises(UpstreamError, match="first"):
        run((0.03, UpstreamError("first")), (0.0, UpstreamError("second")))


def test_a_first_answer_that_was_bad_is_ended_too() -> None:
    """Else its upstream would have a place less for good."""
    bad = Answer(is_bad=True)
    copy = Answer()
    assert run((0.03, bad), (0.05, copy)) is copy
    assert bad.ended
