"""What only some of the APIs have: checked before anything is started."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_cli.bench.plan import EMBEDDINGS
from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.bench.slo import Slo
from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import UsageError

OF_TEXT = ("ttft_ms", "tpot_ms", "normalized_ms")
"""Metrics that vectors, which come at once, do not have."""


def check_api(recipe: BenchRecipe, slos: Sequence[Slo]) -> None:
    """Raises: UsageError for what the recipe's API does not have."""
    _check_choices(recipe)
    if recipe.api != EMBEDDINGS:
        if recipe.texts_per_request > 1:
            raise UsageError(
                f"--texts-per-request is of embeddings, not of {recipe.api}",
                hint="--api embeddings",
            )
        return
    for slo in slos:
        if slo.metric in OF_TEXT:
            raise UsageError(
                f"'{slo.text}': vectors come at once, so there is no such time",
                hint="e2e_p95=50ms",
            )
    if recipe.turns is not None and recipe.turns > 1:
        raise UsageError("vectors are no conversation", hint="leave out --turns")
    if recipe.trace and recipe.texts_per_request > 1:
        raise UsageError(
            "a row of a trace is one request of one text", hint="leave out --texts-per-request"
        )


def _check_choices(recipe: BenchRecipe) -> None:
    """Several choices share a stream and its count of tokens: no time is that of one of them."""
    if recipe.body.get("n") not in (None, 1):
        raise UsageError(
            "--body n: the times of several choices in one answer cannot be told apart",
            hint="more --concurrency: each request has one choice",
        )


def check_model(recipe: BenchRecipe, artifact: Artifact) -> None:
    """Raises: UsageError for a model of vectors that is asked for text."""
    if artifact.makes_vectors and recipe.api != EMBEDDINGS:
        raise UsageError(
            f"{artifact.reference} makes vectors and no text", hint="--api embeddings measures that"
        )
