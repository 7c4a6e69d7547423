"""Weights from labelled texts: logistic regression whose signs cannot speak for innocence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from llmops_cli.guard.evaluation.rates import LabelledText
from llmops_cli.guard.injection import ATTACK
from llmops_cli.guard.learnt.model import Candidate
from llmops_cli.guard.learnt.signals import signal_names

Array = NDArray[np.float64]
RIDGE = 0.003
STEPS = 150
ROUNDS = 2
"""Fits: each takes, of an attack's windows, the one that the fit before found most suspicious."""
EACH_MOST = 250
"""Texts of one label of a source that are fitted to; more of the same teach little."""
HONEST_ASKED = 0.10
"""Share of honest texts that the stage may be asked about."""


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A labelled text as the stage sees it. `x_WS`: signals (S) of its windows (W)."""

    row: LabelledText
    candidate: Candidate
    x_WS: Array

    @property
    def is_decided(self) -> bool:
        """By the rules alone."""
        return self.candidate.rules_score >= ATTACK


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """Of the signals, and the constant."""

    w_S: Array
    bias: float

    def logit(self, example: Example) -> float:
        """Of its most suspicious window."""
        if not len(example.x_WS):
            return -np.inf
        return float((example.x_WS @ self.w_S).max() + self.bias)


def fitted(examples: Sequence[Example]) -> Weights:
    """Every source counts alike, and attacks as much as honest texts."""
    counted = _some_of_each([example for example in examples if len(example.x_WS)])
    shares = _shares(counted)
    weights = Weights(w_S=np.ones(len(signal_names())), bias=0.0)
    for _ in range(ROUNDS):
        x_NS = np.array([_telling(example, weights) for example in counted])
        y_N = np.array([example.row.is_attack for example in counted], dtype=np.float64)
        weights = _logistic_fit(x_NS, y_N, shares)
    return weights


def _some_of_each(examples: Sequence[Example]) -> list[Example]:
    """At most EACH_MOST of each label of each source, evenly over its rows."""
    groups: dict[tuple[str, bool], list[Example]] = {}
    for example in examples:
        groups.setdefault((example.row.source, example.row.is_attack), []).append(example)
    found = []
    for group in groups.values():
        step = -(-len(group) // EACH_MOST)
        found += group[::step]
    return found


def _telling(example: Example, weights: Weights) -> Array:
    row: Array = example.x_WS[int(np.argmax(example.x_WS @ weights.w_S))]
    return row


def _shares(examples: Sequence[Example]) -> Array:
    """What each example counts; together 1 for attacks and 1 for honest texts."""
    groups = Counter((example.row.is_attack, example.row.source) for example in examples)
    sources = Counter(is_attack for is_attack, _ in groups)
    return np.array(
        [
            1 / groups[example.row.is_attack, example.row.source] / sources[example.row.is_attack]
            for example in examples
        ]
    )


def _logistic_fit(
    x_NS: Array,
    y_N: Array,
    share_N: Array,
) -> Weights:
    """Accelerated projected gradient: no weight falls below 0.

    Source: Beck & Teboulle 2009 (FISTA), with a fixed step.
    """
    is_constant = np.array([False] * len(signal_names()) + [True])
    design = np.hstack([x_NS, np.ones((len(x_NS), 1))])
    steepness = 0.25 * float((share_N @ (design**2)).sum()) + RIDGE
    now = np.zeros(design.shape[1])
    ahead = now
    momentum = 1.0
    for _ in range(STEPS):
        shown = np.clip(design @ ahead, -500, 500)
        error = 1 / (1 + np.exp(-shown)) - y_N
        slope = design.T @ (share_N * error) + RIDGE * ahead
        before = now
        now = ahead - slope / steepness
        now = np.where(is_constant, now, np.maximum(now, 0.0))
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = now + (momentum - 1) / following * (now - before)
        momentum = following
    return Weights(w_S=now[:-1], bias=float(now[-1]))


def asked_from(examples: Sequence[Example]) -> float:
    """The least suspicion that at most HONEST_ASKED of the honest texts have."""
    found = sorted(
        (example.candidate.suspicion for example in examples if not example.row.is_attack),
        reverse=True,
    )
    return just_above(found, HONEST_ASKED)


def just_above(descending: Sequence[float], share: float) -> float:
    """The least value that at most this share of the numbers reach."""
    allowed = int(share * len(descending))
    if allowed >= len(descending):
        return 0.0
    return float(np.nextafter(descending[allowed], np.inf))
