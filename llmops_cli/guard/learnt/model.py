"""The learnt stage's weights in a folder, and its score of a text."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in
from llmops_cli.guard.automata import without_surrogates
from llmops_cli.guard.injection import ATTACK, scan
from llmops_cli.guard.learnt.signals import acts_in, signal_names, signals_of
from llmops_cli.guard.pieces import parts_of

MODEL = "model.json"
CARD = "README.md"
SCHEMA = "llmops.guard-stage/1"
ACT = 0.1
"""What a speech act adds to the rules' evidence, for whether the stage is asked about a text."""
WINDOW_CHARS = 1_200
WINDOWS_MOST = 16
"""Windows of a text that are judged: those with most speech acts."""


class Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A logistic model: `weights` by signal.

    `asked_from`: suspicion (`Candidate`) from which it is asked at all. `threshold`: probability
    that is evidence of 1, an attack. `beats_rules`: as the leave-one-source-out report found.
    """

    schema: str = SCHEMA
    version: str
    weights: dict[str, float]
    bias: float
    threshold: float
    asked_from: float
    beats_rules: bool
    data_digest: str


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A text before the stage: what the rules say, and how suspicious it looks beyond them."""

    rules_score: float
    suspicion: float
    windows: tuple[str, ...]
    """Those with most speech acts, the most first."""


def candidate_of(text: str) -> Candidate:
    """Linear in the text."""
    text = without_surrogates(text)
    rules_score = scan(text).score
    counted = [(len(acts_in(window)), window) for window in parts_of(text, WINDOW_CHARS)]
    counted.sort(key=lambda pair: -pair[0])
    most_acts = counted[0][0] if counted else 0
    return Candidate(
        rules_score=rules_score,
        suspicion=rules_score + ACT * most_acts,
        windows=tuple(window for _, window in counted[:WINDOWS_MOST]),
    )


class LearntStage:
    """Text -> evidence: 1 and more is an attack; 0 where the rules have decided, or see nothing."""

    def __init__(self, folder: str) -> None:
        self.stage = load_stage(Path(folder))

    def __call__(self, text: str) -> float:
        found = candidate_of(text)
        if found.rules_score >= ATTACK or found.suspicion < self.stage.asked_from:
            return 0.0
        best = max((self._probability(window) for window in found.windows), default=0.0)
        return best / self.stage.threshold

    def _probability(self, window: str) -> float:
        weights = self.stage.weights
        pairs = zip(signal_names(), signals_of(window), strict=True)
        return logistic(self.stage.bias + sum(weights[name] * value for name, value in pairs))


def logistic(logit: float) -> float:
    """A probability, also of what is far from 0."""
    bounded = min(max(logit, -500.0), 500.0)
    return 1 / (1 + math.exp(-bounded))


def load_stage(folder: Path) -> Stage:
    """Raises: UsageError for a folder without one, or one of another version's signals."""
    path = folder / MODEL
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"no learnt stage at {path}: {error.strerror}",
            hint="llmops guard train DATA.jsonl -o FOLDER",
        ) from None
    try:
        stage = msgspec.json.decode(raw, type=Stage)
    except UNREADABLE:
        reason = wrong_in(raw, Stage)
        raise UsageError(
            f"{path} is no learnt stage: {reason}",
            hint="train it again: llmops guard train DATA.jsonl -o FOLDER",
        ) from None
    if stage.schema != SCHEMA or set(stage.weights) != set(signal_names()):
        raise UsageError(
            f"{path} has the signals of another version of llmops",
            hint="train it again: llmops guard train DATA.jsonl -o FOLDER",
        )
    return stage
