"""What an optimization hangs on, part by part: splits, halving, the paired test, the budget."""

from __future__ import annotations

import asyncio
import math
import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.errors import UsageError
from llmops_cli.core.prices import Prices
from llmops_cli.prompt.case_file.suite import Case, Check, PromptSource
from llmops_cli.prompt.chats import chat_of
from llmops_cli.prompt.checks.scoring import Score
from llmops_cli.prompt.evals.outcome import EvalOutcome
from llmops_cli.prompt.optimize.acceptance import improvement_p, paired_test, regressed
from llmops_cli.prompt.optimize.candidate import (
    BASE,
    Candidate,
    Example,
    Instruction,
    Place,
    base_messages,
    composed,
)
from llmops_cli.prompt.optimize.examples import examples_of
from llmops_cli.prompt.optimize.halving import forecast, least_calls, round_cost, width_for
from llmops_cli.prompt.optimize.proposals import Space, neighbours
from llmops_cli.prompt.optimize.splits import split_cases
from llmops_cli.prompt.optimize.written_prompt import prompt_text
from llmops_cli.prompt.spending import KeptBudget, Spending, spent_of
from llmops_cli.prompt_file.read import prompt_of
from llmops_cli.runtime.chat_budget import BudgetSpent, ChatCaps, Spend
from llmops_cli.runtime.chat_request import TokenBound
from llmops_cli.runtime.outcomes import OutcomesFile, read_outcomes

SIZES = st.integers(1, 200)
SOURCE = PromptSource(label="add", text="add {{a}} and 1")
WORDINGS = {"careful": "Take care."}


def case_of(**variables: object) -> Case:
    check = Check(kind="equals", value="{{sum}}")
    return Case(variables=variables, checks=(check,))


@given(st.lists(st.integers(0, 50), max_size=80), st.randoms(use_true_random=False))
def test_a_case_is_in_the_same_split_whatever_stands_around_it(
    values: list[int], chance: random.Random
) -> None:
    def places(order: list[int]) -> dict[int, set[str]]:
        cases = [case_of(a=value) for value in order]
        found = split_cases(cases, range(len(cases)), train=0.4, validation=0.2)
        by_value: dict[int, set[str]] = {value: set() for value in order}
        for name in found.sizes:
            for number in getattr(found, name):
                by_value[order[number]].add(name)
        assert sorted(found.every) == list(range(len(order)))
        return by_value

    shuffled = list(values)
    chance.shuffle(shuffled)
    first = places(values)
    assert first == places(shuffled)
    assert all(len(names) == 1 for names in first.values())


@given(st.integers(0, 3000), SIZES, SIZES, SIZES)
def test_a_forecast_never_buys_more_than_it_has(
    calls: int, train: int, validation: int, test: int
) -> None:
    found = forecast(calls, train=train, validation=validation, test=test)
    assert found.search + found.base + found.test <= max(calls, found.base + found.test)
    assert found.rounds <= found.proposals
    is_enough = calls >= least_calls(train=train, validation=validation, test=test)
    assert is_enough == (found.proposals > 0)
    width = width_for(found.search, train=train, validation=validation)
    if width:
        assert round_cost(width, train=train, validation=validation) <= found.search


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_one_sided_p_is_the_tail_of_a_fair_coin(wins: int, losses: int) -> None:
    count = wins + losses
    tail = sum(math.comb(count, each) for each in range(wins, count + 1)) / 2**count
    p = improvement_p(wins, losses)
    assert p == pytest.approx(tail) if wins > losses else p == 1


def outcome(number: int, passed: bool | None) -> EvalOutcome:
    if passed is None:
        return EvalOutcome(number=number, error="timeout")
    return EvalOutcome(number=number, score=Score(passed=passed, score=float(passed)))


def test_what_the_best_could_not_answer_counts_against_it() -> None:
    base = {0: outcome(0, True), 1: outcome(1, False), 2: outcome(2, None), 3: outcome(3, True)}
    best = {0: outcome(0, None), 1: outcome(1, True), 2: outcome(2, True)}
    found = paired_test(base, best)
    assert (found.cases, found.only_best, found.only_base) == (3, 1, 2)
    assert regressed([0, 1, 2], base, best) == [0]


@pytest.mark.parametrize("place", list(Place))
def test_a_candidate_is_the_base_with_its_changes_at_their_places(place: Place) -> None:
    candidate = Candidate(instruction=Instruction(wording="careful", place=place), examples=(4,))
    examples = {4: Example(question="add 1 and 1", answer="2")}
    source = composed(SOURCE, candidate, wordings=WORDINGS, examples=examples)
    messages = chat_of(source, case_of(a=7))
    contents = [(each["role"], each["content"]) for each in messages]
    last = {
        Place.SYSTEM: "add 7 and 1",
        Place.BEFORE: "Take care.\n\nadd 7 and 1",
        Place.AFTER: "add 7 and 1\n\nTake care.",
    }[place]
    expected = [("user", "add 1 and 1"), ("assistant", "2"), ("user", last)]
    if place is Place.SYSTEM:
        expected.insert(0, ("system", "Take care."))
    assert contents == expected
    assert composed(SOURCE, BASE, wordings=WORDINGS, examples=examples) is SOURCE


def test_a_prompt_without_parts_is_refused() -> None:
    for text in ('[{"role": "system", "content": "x"}]', "[{% for a in b %}{% endfor %}]"):
        with pytest.raises(UsageError):
            base_messages(PromptSource(label="p", text=text))


def test_examples_are_what_is_known_to_be_right_and_means_itself() -> None:
    cases = [
        case_of(a=1, sum="2"),
        Case(variables={"a": 2}, checks=(Check(kind="contains", value="3"),)),
        Case(variables={"a": 3}, checks=(Check(kind="contains", value="4"),)),
        Case(variables={"a": 4}, checks=(Check(kind="contains", value="b"),)),
    ]
    said = EvalOutcome(number=1, answer="it is 3", score=Score(passed=True, score=1))
    template = msgspec.structs.replace(said, answer="{{b}}")
    outcomes = {1: said, 2: outcome(2, False), 3: template}
    found = examples_of(SOURCE, cases, range(4), outcomes)
    assert found == {
        0: Example(question="add 1 and 1", answer="2"),
        1: Example(question="add 2 and 1", answer="it is 3"),
    }


def test_neighbours_are_new_seeded_and_the_users_own_wordings_come_first() -> None:
    space = Space(wordings=("own-1", "careful"), examples=tuple(range(9)), most_examples=3)
    current = Candidate(examples=(0, 1, 2))
    found = neighbours(current, space, seen={BASE}, chance=random.Random(1))
    assert found == neighbours(current, space, seen={BASE}, chance=random.Random(1))
    assert len(set(found)) == len(found)
    assert current not in found
    own = [each for each in found if each.instruction and each.instruction.wording == "own-1"]
    assert found[: len(own)] == own
    assert all(len(each.examples) <= 3 for each in found)
    assert Candidate(examples=(1, 0, 2)) in found
    assert Candidate(examples=(0, 1)) in found


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["system", "user", "assistant"]),
            st.lists(st.sampled_from(["user:", "\\user:", " x", "", "---", "{{a}}"]), min_size=1),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_written_prompt_reads_as_it_is_or_is_not_written(
    parts: list[tuple[str, list[str]]],
) -> None:
    messages = [{"role": role, "content": "\n".join(lines)} for role, lines in parts]
    text = prompt_text("a label, of sorts", messages, front={"model": "m"})
    if text is None:
        assert any(not each["content"].strip() for each in messages)
        return
    found = prompt_of(text, name="x", where="x")
    assert [each.as_dict() for each in found.messages] == messages


def test_an_open_request_counts_with_all_that_it_may_have_taken(tmp_path: Path) -> None:
    path = tmp_path / "spending.jsonl"
    prices = Prices(input=1, output=1)
    caps = ChatCaps(requests=3, tokens=1000, money=1)

    async def spend() -> None:
        with OutcomesFile[Spending](path) as file:
            budget = KeptBudget(caps, lines={}, file=file)
            first = await budget.reserve(TokenBound(100, 50), prices)
            await budget.reserve(TokenBound(200, 1), prices)
            budget.settle(first, Spend(requests=1, tokens=20, money=0.5))

    asyncio.run(spend())
    lines = read_outcomes(path, Spending).outcomes
    spent = spent_of(lines)
    assert (spent.requests, spent.tokens) == (2, 221)

    async def go_on() -> None:
        with OutcomesFile[Spending](path) as file:
            budget = KeptBudget(caps, lines=lines, file=file)
            last = await budget.reserve(TokenBound(1, 1), prices)
            budget.settle(last, Spend(requests=1))
            with pytest.raises(BudgetSpent):
                await budget.reserve(TokenBound(1, 1), prices)

    asyncio.run(go_on())
