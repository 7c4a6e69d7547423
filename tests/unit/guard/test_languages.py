"""The principal acts of attacks in thirteen languages, and honest texts with the same words."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from llmops_cli.guard.injection import ATTACK, scan

TEXTS = yaml.safe_load(
    (Path(__file__).parents[2] / "data" / "languages.yaml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("number", range(len(TEXTS["attacks"]["seen"])))
def test_an_attack_is_one_in_any_language(number: int) -> None:
    assert scan(TEXTS["attacks"]["seen"][number]).score >= ATTACK


@pytest.mark.parametrize("number", range(len(TEXTS["honest"]["seen"])))
def test_the_same_words_in_honest_texts_pass(number: int) -> None:
    assert scan(TEXTS["honest"]["seen"][number]).score < ATTACK


def test_so_it_is_with_texts_that_were_not_looked_at() -> None:
    missed = [text for text in TEXTS["attacks"]["held"] if scan(text).score < ATTACK]
    wrong = [text for text in TEXTS["honest"]["held"] if scan(text).score >= ATTACK]

    assert len(missed) <= 3, missed
    assert len(wrong) <= 1, wrong
