"""A row's token is drawn as Transformers would draw it, from a number that its seed decides."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from _openai.generation import GenerationRequest
from _openai.sampling import Sampling
from hf.picking import Row, adjusted, draw, pick, picked, share_of

WORDS = 50
SHARES = [number / 2000 for number in range(2000)]


def scores(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(WORDS, generator=generator)


def row(said: list[int] | None = None, *, ignore_eos: bool = False, **sampling: object) -> Row:
    # the fields of Sampling have types of their own, which a test by name need not repeat
    settings = Sampling(**sampling)  # type: ignore[arg-type]
    request = GenerationRequest(
        model="m", prompt=[1, 2], max_tokens=9, sampling=settings, ignore_eos=ignore_eos
    )
    return Row(request=request, said=said or [])


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.7},
        {"temperature": 1.0, "top_k": 5},
        {"temperature": 1.3, "top_p": 0.8},
        {"temperature": 1.0, "min_p": 0.1},
        {"temperature": 0.9, "top_k": 20, "top_p": 0.9},
        {"temperature": 1.0, "top_k": 20, "min_p": 0.05},
    ],
    ids=", ".join,
)
def test_draws_have_the_chances_of_transformers_own_warpers(settings: dict[str, float]) -> None:
    scores_V = scores()
    warpers = LogitsProcessorList([TemperatureLogitsWarper(settings["temperature"])])
    for name, kind in (("top_k", TopKLogitsWarper), ("top_p", TopPLogitsWarper)):
        if name in settings:
            warpers.append(kind(settings[name]))
    if "min_p" in settings:
        warpers.append(MinPLogitsWarper(settings["min_p"]))
    chances_V = warpers(torch.zeros(1, 1, dtype=torch.int64), scores_V[None])[0].softmax(-1)
    sampling = Sampling(**settings)  # type: ignore[arg-type]
    drawn = torch.tensor([draw(scores_V.double(), sampling, share=share) for share in SHARES])
    shares_V = torch.bincount(drawn, minlength=WORDS) / len(SHARES)
    assert torch.allclose(shares_V, chances_V, atol=2 / len(SHARES))


def test_repetition_is_transformers_own_penalty() -> None:
    """Its processor counts the prompt too."""
    scores_V = scores(1)
    theirs = RepetitionPenaltyLogitsProcessor(1.4)(torch.tensor([[1, 2, 7, 7]]), scores_V[None])
    ours = adjusted(scores_V, row([7, 7], repetition_penalty=1.4), ends=[])
    assert torch.allclose(ours.float(), theirs[0])


def test_presence_and_frequency_count_the_answer_alone() -> None:
    scores_V = scores(2)
    found_V = adjusted(scores_V, row([7, 7, 3], presence_penalty=1, frequency_penalty=0.5), ends=[])
    expected_V = scores_V.double()
    expected_V[7] -= 1 + 2 * 0.5
    expected_V[3] -= 1 + 0.5
    assert torch.equal(found_V, expected_V)


def test_ends_that_do_not_count_are_not_said() -> None:
    scores_V = scores(3)
    best = int(scores_V.argmax())
    assert pick(scores_V, row(temperature=0), ends=[best]) == best
    assert pick(scores_V, row(temperature=0, ignore_eos=True), ends=[best]) != best


def test_a_seed_and_a_place_decide_whoever_is_beside() -> None:
    mine = row([4, 5], seed=11)
    alone = picked(scores()[None], [mine], ends=[]).argmax(-1)
    company_BV = torch.stack([scores(5), scores(), scores(6), scores(7)])
    others = [row(seed=1), mine, None, row(temperature=0)]
    found = picked(company_BV, others, ends=[]).argmax(-1)
    assert found[1] == alone[0]
    assert found[3] == scores(7).argmax()
    assert len({share_of(11, place=place) for place in range(9)}) == 9
    assert share_of(11, place=2) == share_of(11, place=2)


@pytest.mark.parametrize("cut", [{"top_k": 40}, {"top_p": 0.95}, {"min_p": 0.01}, {}])
def test_roundings_between_even_tokens_move_no_draw(cut: dict[str, float]) -> None:
    """One row of a batch is computed by other kernels than several."""
    pairs_V = -0.1 * (torch.arange(WORDS) // 2)
    wanted = Sampling(temperature=1.5, seed=3, **cut)  # type: ignore[arg-type]

    def drawn(seed: int) -> list[int]:
        noise = torch.Generator().manual_seed(seed)
        rows = (pairs_V + 1e-6 * torch.randn(WORDS, generator=noise) for _ in range(100))
        return [draw(row, wanted, share=place / 100) for place, row in enumerate(rows)]

    unlike = [one != other for one, other in zip(drawn(1), drawn(2), strict=True)]
    assert sum(unlike) <= 10


def test_rows_that_want_the_largest_cost_no_copy() -> None:
    scores_BV = torch.stack([scores(1), scores(2)])
    assert picked(scores_BV, [row(temperature=0), None], ends=[0]) is scores_BV
