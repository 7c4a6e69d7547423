"""Samples as a reader sees them: text, and which parts of it are trained."""

from itertools import groupby
from typing import Any

from train.data.sample import FULL_WEIGHT, TrainingSample

Segment = tuple[str, bool]
"""Neighbouring tokens as text, and whether they are learned."""


def segments_of(sample: TrainingSample, tokenizer: Any) -> list[Segment]:
    """The first token is predicted from nothing, so it is never learned."""
    trained = (sample.weights_T >= FULL_WEIGHT).tolist()
    if trained:
        trained[0] = False
    tokens = zip(sample.ids_T.tolist(), trained, strict=True)
    segments = []
    for is_trained, group in groupby(tokens, key=_is_trained):
        ids = [token for token, _ in group]
        text = tokenizer.decode(ids, skip_special_tokens=False)
        segments.append((text, is_trained))
    return segments


def _is_trained(token: tuple[int, bool]) -> bool:
    _, trained = token
    return trained
