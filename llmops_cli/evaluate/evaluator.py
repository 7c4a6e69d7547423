"""What an evaluator is."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from llmops_cli.core.progress import Progress

CONTEXT = 1024
"""Tokens that a server must have room for to be evaluated."""

Scores = dict[str, float]
"""Task -> share of right answers."""
MeasuresScores = Callable[[str, str, Progress], Scores]
"""URL, model's name there, progress -> scores."""


class Evaluator(msgspec.Struct, frozen=True, kw_only=True):
    """Task accuracy over the OpenAI API: `measure(url, model, progress)` gives the scores."""

    name: str
    measure: MeasuresScores
