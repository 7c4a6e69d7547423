"""Perplexity of a served model, from its own log-probabilities of a prompt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from llmops_cli.runtime.http import Http

TIMEOUT_S = 300.0

TokenRows = list[dict[str, dict[str, float]] | None]
"""For each token of a prompt: token id -> its log-probability; None for the first."""


def served_perplexity(
    url: str,
    model: str,
    pieces: Sequence[tuple[list[int], int]],
    *,
    context: int,
) -> float | None:
    """Over the scored tokens of `pieces` (token ids, first scored position).

    None if there are none, or if the server tells no log-probabilities of a prompt.
    """
    http = Http()
    loss = 0.0
    scored = 0
    for tokens, first in pieces:
        kept = tokens[: context - 1]
        rows = _prompt_logprobs(http, url, model, kept)
        if rows is None:
            return None
        scored_rows = list(zip(kept, rows, strict=True))[first + 1 :]
        for token, row in scored_rows:
            if row is None:
                return None
            found = row[str(token)]
            loss -= found["logprob"]
            scored += 1
    if scored == 0:
        return None
    return math.exp(loss / scored)


def _prompt_logprobs(
    http: Http,
    url: str,
    model: str,
    tokens: list[int],
) -> TokenRows | None:
    fields = {
        "model": model,
        "prompt": tokens,
        "max_tokens": 1,
        "temperature": 0,
        "prompt_logprobs": 0,
    }
    answer = http.post_json(f"{url}/v1/completions", fields, timeout_s=TIMEOUT_S)
    if answer is None:
        return None
    choices: list[dict[str, Any]] = answer.get("choices") or []  # Any: the server's fields
    if not choices:
        return None
    first = choices[0]
    return first.get("prompt_logprobs") or None
