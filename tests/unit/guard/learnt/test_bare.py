"""What a reader passes over between and within words hides none of them from the stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.guard.check import Guard
from llmops_cli.guard.evaluation.rates import LabelledText, read_rows
from llmops_cli.guard.learnt.bare import bare
from llmops_cli.guard.learnt.features import normalised
from llmops_cli.guard.models import rules_alone
from llmops_cli.guard.policy import DEFAULT

PAIRS = Path(__file__).parents[4] / "benchmarks" / "guard_pairs"
BOTH = Guard()
RULES = Guard(rules_alone(DEFAULT))
STILL_STOPPED = 0.7
"""Share: marks that an attack had itself are gone as well."""
Disguise = Callable[[str], str]


def is_stopped(guard: Guard, row: LabelledText, text: str) -> bool:
    return guard.check_input(text, role=row.role or "user").flagged


def rows_of(*, is_attack: bool) -> list[LabelledText]:
    rows = list(read_rows(PAIRS / "held_out_2.jsonl"))
    return [row for row in rows if row.is_attack == is_attack]


@pytest.fixture(scope="module")
def stopped_by_the_stage() -> list[LabelledText]:
    found = [row for row in rows_of(is_attack=True) if is_stopped(BOTH, row, row.text)]
    return [row for row in found if not is_stopped(RULES, row, row.text)]


DISGUISES: dict[str, Disguise] = {
    "question marks": lambda text: " ? ".join(text.split()),
    "colons": lambda text: " : ".join(text.split()),
    "brackets": lambda text: " ".join(f"[{word}]" for word in text.split()),
    "quotes": lambda text: " ".join(f'"{word}"' for word in text.split()),
    "numbers": lambda text: " ".join(f"{word} {at}" for at, word in enumerate(text.split())),
    "capitals for spaces": lambda text: "".join(word.capitalize() for word in text.split()),
    "accents": lambda text: text.translate(str.maketrans("eo", "éö")),
    "marks behind letters": lambda text: text.replace("e", "e\u0323\u0330"),
    "Cyrillic": lambda text: text.translate(str.maketrans("aeo", "\u0430\u0435\u043e")),
    "digits for letters": lambda text: text.translate(str.maketrans("eoi", "301")),
}


@pytest.mark.parametrize("name", DISGUISES)
def test_disguised_words_are_read(stopped_by_the_stage: list[LabelledText], name: str) -> None:
    rows = stopped_by_the_stage
    still = sum(is_stopped(BOTH, row, DISGUISES[name](row.text)) for row in rows)
    assert rows
    assert still >= STILL_STOPPED * len(rows)


def test_an_honest_text_is_mostly_read_once() -> None:
    rows = rows_of(is_attack=False)
    assert sum(bare(normalised(row.text)) is not None for row in rows) < len(rows) / 3


@pytest.mark.parametrize(
    "text",
    [
        "Where is it? In the box: the blue one.",
        "Rooms 12, 14 and 16 are free from 3 to 5 May.",
        "Привет, как дела?",
        "漢字とかな、そしてカナ。",
        "",
    ],
)
def test_plain_texts_have_no_other_reading(text: str) -> None:
    assert bare(text) is None


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(), max_size=300))
def test_no_text_makes_it_raise(text: str) -> None:
    normal = normalised(text)
    said = bare(normal)
    assert said is None or said != normal
