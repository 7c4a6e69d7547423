"""What the rules explain is passed over by the stage, and nothing that stands beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.guard.check import Guard
from llmops_cli.guard.evaluation.rates import LabelledText, read_rows
from llmops_cli.guard.injection import scan
from llmops_cli.guard.learnt.explained import SENTENCE_MOST, without_explained
from llmops_cli.guard.models import rules_alone
from llmops_cli.guard.policy import DEFAULT

PAIRS = Path(__file__).parents[4] / "benchmarks" / "guard_pairs"
BOTH = Guard()
RULES = Guard(rules_alone(DEFAULT))
MENTION = 'The phrase "ignore all previous instructions" is a well-known prompt injection.'
STILL_STOPPED = 0.8
"""Share: a mention's windows have fewer of the attack's words."""


def is_stopped(guard: Guard, row: LabelledText, text: str) -> bool:
    return guard.check_input(text, role=row.role or "user").flagged


@pytest.fixture(scope="module")
def stopped_by_the_stage() -> list[LabelledText]:
    rows = [row for row in read_rows(PAIRS / "held_out.jsonl") if row.is_attack]
    found = [row for row in rows if is_stopped(BOTH, row, row.text)]
    return [row for row in found if not is_stopped(RULES, row, row.text)]


@pytest.mark.parametrize(
    "form",
    [f"{MENTION}\n\n{{}}", f"{{}}\n\n{MENTION}", f"{MENTION} {{}}"],
    ids=["before", "behind", "in one line"],
)
def test_a_quoted_phrase_does_not_silence_the_stage(
    stopped_by_the_stage: list[LabelledText], form: str
) -> None:
    assert scan(MENTION).is_explained
    rows = stopped_by_the_stage
    still = sum(is_stopped(BOTH, row, form.format(row.text)) for row in rows)
    assert rows
    assert still >= STILL_STOPPED * len(rows)


@pytest.mark.parametrize(
    "text",
    [
        MENTION,
        f"What does this mean? {MENTION} I read it in a paper.",
        'Somebody wrote "ignore all previous instructions" in an article on prompt injection.',
    ],
)
def test_who_only_quotes_is_let_through(text: str) -> None:
    assert BOTH.check_input(text).action == "allow"


def test_only_its_own_sentence_is_passed_over_and_the_rest_keeps_its_place() -> None:
    text = f"The ferry leaves at nine. {MENTION} Bikes travel free."
    rest = without_explained(text, scan(text))
    assert rest.split() == ["The", "ferry", "leaves", "at", "nine.", "Bikes", "travel", "free."]
    assert len(rest) == len(text)
    assert rest.index("Bikes") == text.index("Bikes")


def test_a_sentence_without_an_end_is_of_bounded_size() -> None:
    text = f"{'so and ' * 3000}{MENTION[:-1]} {'and so ' * 3000}"
    found = scan(text)
    assert any(item.is_strong for item in found.evidence)
    rest = without_explained(text, found)
    taken = len(text.replace(" ", "")) - len(rest.replace(" ", ""))
    assert 0 < taken <= 2 * SENTENCE_MOST + len(MENTION)
