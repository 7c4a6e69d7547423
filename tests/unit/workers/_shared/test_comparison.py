"""Divergence from the original, in float64, and texts that are cut otherwise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from _shared.comparison import Comparison, log_softmax
from _shared.protocol import JobError
from _shared.reference import TokenizedText
from _shared.token_differences import differences_of
from _shared.token_texts import TOKEN_TEXTS, texts_with


def logits(seed: int, rows: int = 40, width: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


def test_it_is_the_mean_divergence_from_the_original() -> None:
    original, other = logits(0), logits(1)
    found = Comparison()
    found.add(original, other)
    p, q = (np.exp(log_softmax(each)) for each in (original, other))
    expected = (p * np.log(p / q)).sum() / len(p)
    figures = found.figures()
    assert figures["kl_divergence"] == pytest.approx(expected, rel=1e-9)
    assert figures["scored"] == 40
    known = (p * np.log(p * 50)).sum() / len(p)
    assert figures["known_nats"] == pytest.approx(known, rel=1e-9)


def test_equal_models_are_nearer_than_float32_resolves() -> None:
    found = Comparison()
    found.add(logits(0), logits(0) + 3)
    assert found.figures()["kl_divergence"] < 1e-12
    assert found.figures()["top1_agreement"] == 1


def test_what_knows_nothing_diverges_by_all_that_is_known() -> None:
    found = Comparison()
    found.add(logits(0), np.zeros((40, 50), np.float32))
    figures = found.figures()
    assert figures["kl_divergence"] == pytest.approx(figures["known_nats"])


def test_a_padded_vocabulary_counts_as_far_as_both_have_it() -> None:
    padded = np.concatenate([logits(0), logits(2, width=14)], axis=1)
    found = Comparison()
    found.add(logits(0), padded)
    assert found.figures()["kl_divergence"] < 1e-12


def test_no_numbers_are_an_error() -> None:
    found = Comparison()
    found.add(logits(0), np.full((40, 50), math.nan, np.float32))
    with pytest.raises(JobError, match="not numbers"):
        found.figures()


def test_differences_begin_shortly_before_the_first_other_token() -> None:
    originals = [TokenizedText("same", [1, 2]), TokenizedText("other", [1, 2, 3, 4])]
    copies = {"same": [1, 2], "other": [1, 2, 9, 4]}
    found = differences_of(originals, lambda text: copies[text])
    assert (found["texts"], found["texts_different"]) == (2, 1)
    assert found["examples"] == [{"text": "other", "original": [2, 3, 4], "copy": [2, 9, 4]}]


def test_a_text_that_only_the_original_composes_is_told_apart() -> None:
    originals = [TokenizedText("e\u0301", [7]), TokenizedText("n\u0303", [8])]
    copies = {"\u00e9": [7], "\u00f1": [9]}
    found = differences_of(originals, lambda text: copies.get(text, [1, 2]))
    assert (found["texts_composed"], found["texts_different"]) == (1, 1)


def test_what_a_user_was_told_of_is_counted_apart() -> None:
    originals = [TokenizedText(" a", [1]), TokenizedText("a", [2])]
    found = differences_of(originals, lambda _: [9], is_known=lambda text: text.startswith(" "))
    assert (found["texts_known"], found["texts_different"]) == (1, 1)


def test_the_texts_differ_and_hold_the_tokenizers_own_tokens() -> None:
    assert len(set(TOKEN_TEXTS)) == len(TOKEN_TEXTS) > 50
    assert "one <eos> two" in texts_with(["<eos>"])
