"""Prompts are seeded, of the wanted length, and differ from their first word."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.bench.workload import make_prompts


def three_per_word(text: str) -> int:
    return 5 + 3 * len(text.split())


@given(st.integers(1, 20), st.integers(8, 400), st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_prompts(count: int, tokens: int, seed: int) -> None:
    def make() -> list[str]:
        return make_prompts(count, tokens=tokens, shared_prefix_tokens=0, seed=seed, count_tokens=three_per_word)

    prompts = make()
    assert prompts == make()
    assert len(prompts) == count
    assert all(abs(three_per_word(p) - tokens) < 3 for p in prompts)


def test_a_shared_prefix_is_shared_and_the_rest_is_not() -> None:
    prompts = make_prompts(8, tokens=100, shared_prefix_tokens=40, seed=1, count_tokens=lambda t: len(t.split()))
    heads = {" ".join(p.split()[:40]) for p in prompts}
    tails = {" ".join(p.split()[40:]) for p in prompts}
    assert len(heads) == 1
    assert len(tails) == 8
    assert all(len(p.split()) == 100 for p in prompts)


def test_without_a_tokenizer_a_word_is_a_token() -> None:
    (prompt,) = make_prompts(1, tokens=30, shared_prefix_tokens=10, seed=0, count_tokens=lambda _: None)
    assert len(prompt.split()) == 30
