"""Picks the token of each row by the settings of its own request, whoever shares the batch.

Shapes: B rows of a batch, V vocabulary, K tokens that may still be drawn.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from _openai.generation import GenerationRequest
from _openai.sampling import Sampling

NEVER = -torch.inf


@dataclass(frozen=True, kw_only=True)
class Row:
    """A request in a batch, and what of its answer there is."""

    request: GenerationRequest
    said: list[int]


def picked(
    scores_BV: torch.Tensor,
    rows: Sequence[Row | None],
    *,
    ends: list[int],
) -> torch.Tensor:
    """The same scores where the largest is wanted anyway, and one possible token in other rows.

    So whoever takes the largest of each row takes what was drawn, and rows of all settings share
    one batch. `ends`: tokens that end an answer; None is a row that nobody waits for.
    """
    found_BV = scores_BV
    for place, row in enumerate(rows):
        if row is None or is_plain(row.request):
            continue
        if found_BV is scores_BV:
            found_BV = scores_BV.clone()
        token = pick(scores_BV[place], row, ends=ends)
        found_BV[place] = NEVER
        found_BV[place, token] = 0
    return found_BV


def is_plain(request: GenerationRequest) -> bool:
    """The largest score as the model gives it is the answer."""
    sampling = request.sampling
    is_adjusted = bool(sampling.logit_bias) or sampling.penalizes or request.ignore_eos
    return sampling.is_greedy and not is_adjusted


def pick(
    scores_V: torch.Tensor,
    row: Row,
    *,
    ends: list[int],
) -> int:
    sampling = row.request.sampling
    adjusted_V = adjusted(scores_V, row, ends=ends)
    if sampling.is_greedy:
        return int(adjusted_V.argmax())
    share = share_of(sampling.seed, place=len(row.said))
    return draw(adjusted_V, sampling, share=share)


def adjusted(
    scores_V: torch.Tensor,
    row: Row,
    *,
    ends: list[int],
) -> torch.Tensor:
    """With biases and penalties; without the ends where those do not count."""
    sampling = row.request.sampling
    scores_V = scores_V.double()
    if sampling.penalizes:
        scores_V = penalized(scores_V, row)
    if sampling.logit_bias:
        tokens = list(sampling.logit_bias)
        biases = list(sampling.logit_bias.values())
        scores_V = scores_V.clone()
        scores_V[tokens] += scores_V.new_tensor(biases)
    if row.request.ignore_eos:
        scores_V = scores_V.clone()
        scores_V[ends] = NEVER
    return scores_V


def penalized(scores_V: torch.Tensor, row: Row) -> torch.Tensor:
    """Repetition counts prompt and answer, presence and frequency the answer, as in vLLM.

    Source: arXiv:1909.05858, section 4.1, for repetition.
    """
    sampling = row.request.sampling
    width = scores_V.shape[0]
    said = torch.tensor(list(row.said), dtype=torch.int64, device=scores_V.device)
    prompt = torch.tensor(row.request.prompt, dtype=torch.int64, device=scores_V.device)
    counts_V = torch.bincount(said, minlength=width)
    seen_V = (counts_V + torch.bincount(prompt, minlength=width)) > 0
    repetition = sampling.repetition_penalty
    repeated_V = torch.where(scores_V > 0, scores_V / repetition, scores_V * repetition)
    scores_V = torch.where(seen_V, repeated_V, scores_V)
    frequency_V = sampling.frequency_penalty * counts_V
    presence_V = sampling.presence_penalty * (counts_V > 0)
    return scores_V - frequency_V - presence_V


def share_of(seed: int | None, *, place: int) -> float:
    """A number from 0 to 1 for the token at this place of an answer.

    Of the seed and the place alone: the same in company, and for tokens that are guessed ahead.
    """
    if seed is None:
        return random.random()
    return random.Random(f"{seed}:{place}").random()


def draw(
    scores_V: torch.Tensor,
    sampling: Sampling,
    *,
    share: float,
) -> int:
    """The token where the added up probabilities pass `share`.

    They are added up in the order of the tokens: of two that are nearly even either may be the
    likelier by a rounding, and whole tokens would change places under the same number.
    """
    scaled_V = scores_V / sampling.temperature
    scores_K, tokens_K = candidates(scaled_V, sampling)
    chances_K = scores_K.softmax(-1)
    if sampling.top_p < 1:
        before_K = chances_K.cumsum(-1) - chances_K
        chances_K = chances_K.masked_fill(before_K >= sampling.top_p, 0)
    if sampling.min_p > 0:
        least = sampling.min_p * chances_K.max()
        chances_K = chances_K.masked_fill(chances_K < least, 0)
    if sampling.top_k > 0 or sampling.top_p < 1:
        tokens_K, order_K = tokens_K.sort()
        chances_K = chances_K[order_K]
    sums_K = chances_K.cumsum(-1)
    wanted = sums_K[-1] * share
    place = torch.searchsorted(sums_K, wanted, right=True)
    last = sums_K.shape[0] - 1
    return int(tokens_K[min(int(place), last)])


def candidates(scores_V: torch.Tensor, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and tokens, best first where their order counts. Sorting them all takes time."""
    width = scores_V.shape[0]
    if 0 < sampling.top_k < width:
        best = scores_V.topk(sampling.top_k)
        return best.values, best.indices
    if sampling.top_p < 1:
        ranked = scores_V.sort(descending=True)
        return ranked.values, ranked.indices
    return scores_V, torch.arange(width, device=scores_V.device)
