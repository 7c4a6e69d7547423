"""How much faster drafts make a model: published speedups of speculation."""

from __future__ import annotations

import math
import re

from llmops_cli.plan.references import Answer, Reference, Unanswered
from llmops_cli.plan.row_models import row_gpus, row_load
from llmops_cli.sizing.efficiency import efficiency_of
from llmops_cli.sizing.placement import Placement
from llmops_cli.sizing.speed import Speculation, speculated_s, step_s

ENGINE = "vllm"
TOKENS = 4
"""Drafted a step, where a row does not tell (vLLM's examples have 3 to 5)."""
ACCEPTANCE = 0.7
DRAFT_LAYERS = 24
"""Of a model of half a billion parameters."""
SPREAD = 0.4
"""What acceptance differs by between models and texts, as a logarithm (arXiv:2401.07851)."""
LOOKED_UP = ("ngram", "n-gram", "prompt lookup")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)b\b", re.IGNORECASE)


def speedup(row: Reference, _context: object) -> Answer:
    """Seconds a token without drafts over those with. Raises: Unanswered without a draft."""
    load = row_load(row)
    cards = row_gpus(row)
    place = Placement(gpu=cards.gpu, tensor=cards.count)
    efficiency = efficiency_of(ENGINE)
    plain_s = step_s(load, place, efficiency)
    tokens = int(row.number("draft_tokens") or row.number("k") or TOKENS)
    drafts = Speculation(
        tokens=tokens,
        acceptance=row.number("acceptance") or ACCEPTANCE,
        draft_cost=_draft_s(row, place) / plain_s,
    )
    load_factor = tokens + 1.0 if row.text("qps") == "high" else 1.0
    value = plain_s / speculated_s(plain_s, drafts, load_factor=load_factor)
    return Answer(value=value, low=value * math.exp(-SPREAD), high=value * math.exp(SPREAD))


def _draft_s(row: Reference, place: Placement) -> float:
    """Of one drafted token; one that is looked up in the text costs nothing."""
    named = row.text("draft")
    if named is None:
        raise Unanswered("the row names no draft")
    if named.lower() in LOOKED_UP:
        return 0.0
    size = _SIZE.search(named)
    if size is None:
        raise Unanswered(f"the size of the draft '{named}' is not told")
    efficiency = efficiency_of(ENGINE)
    read_s = 2e9 * float(size[1]) / (place.device.memory_bytes_per_s * efficiency.bandwidth)
    return read_s + DRAFT_LAYERS * efficiency.layer_s
