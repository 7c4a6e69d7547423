"""Tokens are picked as the parameters say, and log-probabilities are the model's own."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from _shared.grammars.nodes import GrammarError
from llamacpp.server.sampling import Sampler, SamplingParams, logprob_of
from tests.unit.workers._shared.grammars.walks import of_gbnf
from tests.unit.workers.llamacpp.vocabulary import SIZE, NumberedVocabulary

rows = arrays(np.float32, SIZE, elements=st.floats(-20, 20, width=32))


def sampler(**params: object) -> Sampler:
    return Sampler(NumberedVocabulary(), SamplingParams(**params), window=64)


def row(*likely: int) -> np.ndarray:
    """These tokens first, in this order."""
    logits = np.zeros(SIZE, np.float32)
    for place, token in enumerate(likely):
        logits[token] = 10 - place
    return logits


def test_without_temperature_the_likeliest_token_is_picked() -> None:
    assert sampler(temperature=0).pick(row(7, 8)) == (7, None)


def test_a_bias_moves_the_choice_but_not_the_log_probability() -> None:
    plain = sampler(temperature=0, top_logprobs=0).pick(row(7, 8))
    biased = sampler(temperature=0, top_logprobs=0, logit_bias={7: -100}).pick(row(7, 8))
    assert plain[0] == 7
    assert biased[0] == 8
    assert biased[1] is not None
    assert plain[1] is not None
    assert biased[1].logprob == pytest.approx(plain[1].logprob - 1, abs=1e-5)


def test_the_end_is_never_picked_if_it_is_to_be_ignored() -> None:
    assert sampler(temperature=0).pick(row(0, 5))[0] == 0
    assert sampler(temperature=0, ignore_eos=True).pick(row(0, 5))[0] == 5


def test_a_seed_gives_the_same_tokens_again() -> None:
    def picks(seed: int) -> list[int]:
        drawing = sampler(temperature=1.5, seed=seed)
        tokens = [drawing.pick(row(3, 4, 5, 6))[0] for _ in range(40)]
        drawing.close()
        return tokens

    assert picks(1) == picks(1)
    assert picks(1) != picks(2)


@pytest.mark.parametrize("cut", [{"top_k": 40}, {"top_p": 0.95}, {"min_p": 0.01}, {}])
def test_roundings_between_even_tokens_move_no_draw(cut: dict[str, float]) -> None:
    """One row of a batch is computed by other kernels than several."""
    made = np.random.default_rng(7)
    pairs = -0.1 * (np.arange(SIZE, dtype=np.float32) // 2)

    def picks(spread: float) -> list[int]:
        drawing = sampler(temperature=1.5, seed=3, **cut)
        noise = made.normal(0, spread, (100, SIZE)).astype(np.float32)
        tokens = [drawing.pick(pairs + row)[0] for row in noise]
        drawing.close()
        return tokens

    unlike = [one != other for one, other in zip(picks(1e-6), picks(1e-6), strict=True)]
    assert sum(unlike) <= 10


@pytest.mark.parametrize(
    "params", [{"top_k": 1}, {"top_p": 0.01}, {"min_p": 1.0}, {"temperature": 1e-3}]
)
def test_whatever_leaves_one_token_picks_it(params: dict[str, float]) -> None:
    drawing = sampler(seed=1, **params)
    assert {drawing.pick(row(9, 8))[0] for _ in range(20)} == {9}
    drawing.close()


def test_a_penalty_makes_way_for_another_token() -> None:
    repeating = sampler(temperature=0, presence_penalty=2)
    tokens = [repeating.pick(row(9, 8))[0] for _ in range(2)]
    repeating.close()
    assert tokens == [9, 8]


@given(rows, st.integers(0, SIZE - 1), st.integers(0, 20))
def test_log_probabilities_are_ordered_and_at_most_one_together(
    logits: np.ndarray, token: int, top: int
) -> None:
    found = logprob_of(logits, token, top)
    values = [value for _, value in found.top]
    assert len(values) == top
    assert values == sorted(values, reverse=True)
    assert sum(np.exp(values)) <= 1 + 1e-4
    if values:
        assert found.logprob <= values[0] + 1e-6


SMALL = 'root ::= "7 " [0-9]+ " 9 "'


@pytest.mark.parametrize("params", [{"temperature": 0}, {"temperature": 1.0, "seed": 3}])
@pytest.mark.parametrize("ignores_end", [False, True])
def test_a_grammar_chooses_the_likeliest_token_that_fits_and_ends(
    params: dict[str, float], ignores_end: bool
) -> None:
    held = sampler(grammar=of_gbnf(SMALL), ignore_eos=ignores_end, **params)
    assert held.pick(row(0, 5, 7))[0] == 7
    second = held.pick(row(0, 49, 48))[0]
    assert second != 0
    assert not held.is_over
    assert held.pick(row(0, 9))[0] == 9
    assert held.is_over
    held.close()


@pytest.mark.parametrize("ignores_end", [False, True])
def test_the_end_is_taken_where_nothing_else_fits(ignores_end: bool) -> None:
    held = sampler(temperature=1.0, grammar=of_gbnf('root ::= "7 " "x"?'), ignore_eos=ignores_end)
    assert held.pick(row(7))[0] == 7
    assert held.pick(row(5, 6))[0] == 0
    held.close()


def test_a_grammar_that_no_token_can_go_on_with_is_an_error() -> None:
    held = sampler(temperature=0, grammar=of_gbnf('root ::= "x"'))
    with pytest.raises(GrammarError, match="no token of this model"):
        held.pick(row(7))


def test_all_tokens_that_fit_are_drawn_as_the_model_has_them() -> None:
    grammar = of_gbnf('root ::= ("8 " | "9 ")+')
    held = sampler(temperature=1.0, seed=5, grammar=grammar)
    drawn = [held.pick(row(1, 8, 9))[0] for _ in range(300)]
    held.close()
    assert set(drawn) == {8, 9}
    assert drawn.count(8) / 300 == pytest.approx(np.e / (1 + np.e), abs=0.1)
