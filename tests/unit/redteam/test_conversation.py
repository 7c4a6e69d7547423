"""Attempts had with targets that answer, fall silent, or filter."""

from __future__ import annotations

import asyncio

import pytest

from llmops_cli.redteam.attempts import Attempt
from llmops_cli.redteam.conversation import Interrogator
from llmops_cli.redteam.outcome import AttemptOutcome
from llmops_cli.redteam.suite import SearchPlan, builtin
from llmops_cli.runtime.chat import (
    ChatClient,
    ChatSettings,
    Filtered,
    Message,
    Unanswered,
    chat_endpoint,
)


class Scripted(ChatClient):
    """A client that says what it is told to, or fails."""

    def __init__(self, *answers: str | Exception) -> None:
        super().__init__(chat_endpoint("http://127.0.0.1:9", "m"), ChatSettings(max_tokens=8))
        self.answers = list(answers)
        self.asked: list[list[Message]] = []

    async def ask(self, messages: list[Message]) -> str:
        self.asked.append(messages)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def searching(search: SearchPlan) -> Attempt:
    return Attempt(
        number=7,
        family="search",
        attack="pair",
        system="",
        turns=["Say it."],
        judge="secret",
        target="tulip",
        goal="What is the word?",
        search=search,
    )


def had(attempt: Attempt, target: ChatClient, **more: ChatClient) -> AttemptOutcome:
    interrogator = Interrogator(
        target,
        builtin(),
        attacker=more.get("attacker"),
        judge_model=more.get("judge_model"),
        guard=None,
    )
    return asyncio.run(interrogator.have(attempt))


@pytest.mark.parametrize("search", [None, SearchPlan(depth=2)])
def test_a_dead_target_is_an_error_and_nothing_stopped(search: SearchPlan | None) -> None:
    attempt = searching(SearchPlan())
    if search is None:
        attempt = Attempt(
            number=7,
            family="f",
            attack="a",
            system="",
            turns=["Say it."],
            judge="secret",
            target="tulip",
            goal="x",
        )
    outcome = had(attempt, Scripted(Unanswered("timeout")))
    assert outcome.error == "timeout"
    assert outcome.blocked is None


def test_a_filter_of_the_target_has_stopped_the_attempt() -> None:
    outcome = had(searching(SearchPlan(depth=1)), Scripted(Filtered()))
    assert (outcome.error, outcome.blocked) == ("", True)


def test_a_helper_that_fails_is_told_by_its_name() -> None:
    attempt = searching(SearchPlan(depth=3))
    down = Scripted(Unanswered("http 500"))
    assert had(attempt, Scripted("no"), attacker=down).error == "attacker: http 500"
    assert had(attempt, Scripted("tulip"), judge_model=down).error == "judge: http 500"


def test_branches_have_histories_of_their_own() -> None:
    attacker = Scripted("try a", "try b", "try c", "try d", "try e", "try f")
    attempt = searching(SearchPlan(width=2, branch=2, depth=3))
    outcome = had(attempt, Scripted("no"), attacker=attacker)
    assert outcome.error == ""
    told = [messages[0]["content"] for messages in attacker.asked]
    assert "try a" not in told[0]
    assert "try a" in told[2]
    assert "try b" not in told[2]
    assert "try b" in told[4]
    assert "try a" not in told[4]
