"""The learnt stage's weights in a folder, and its score of a text."""

from __future__ import annotations

import errno
import math
import sys
from array import array
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in
from llmops_cli.guard.learnt.bare import bare
from llmops_cli.guard.learnt.features import BUCKETS, FORM, Window, normalised, windows_in

MODEL = "model.json"
WEIGHTS = "weights.f32"
CARD = "README.md"
SCHEMA = "llmops.guard-stage/2"
SHIPPED = Path(__file__).parents[1] / "data" / "stage"
"""Fitted to texts of our own by benchmarks/guard_stage.py."""
MODEL_BYTES = 64 << 10
TRAIN_AGAIN = "train it again: llmops guard train DATA.jsonl -o FOLDER"
NOTHING = -500.0
"""The logit of a text without words."""
NEVER = 1e6
"""As large as no logit is: what is asked for where no text is to be stopped."""
MOST_WEIGHT = 65_504.0
"""Of half precision."""
MANY_FEATURES = 48
"""Of some 24 words."""
FEW = 0.5
"""Taken off for each halving below: one word of a short text weighs as much as five of a long."""
MANY_WINDOWS = 0.6
"""Added to the threshold for each ten times the windows: of many honest ones, one looks worst."""


Logit = Annotated[float, msgspec.Meta(ge=-NEVER, le=NEVER)]


class Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A logistic model over a window's words; its weights lie beside it.

    `threshold`: the logit that is evidence of 1, an attack. `beats_rules`: as the
    leave-one-source-out report found.
    """

    schema: str = SCHEMA
    features: str = FORM
    version: str
    bias: Logit
    threshold: Logit
    beats_rules: bool
    data_digest: str


class Judged(NamedTuple):
    """A text's most suspicious window, its logit, and how many windows the text has.

    `read`: the text as it was read.
    """

    logit: float
    window: Window | None
    windows: int
    read: str


class Weights(NamedTuple):
    """Of the features (F), each as rare as `idf` and as telling as `w`: idf * w, and idf * idf."""

    told_F: Sequence[float]
    squares_F: Sequence[float]
    bias: float

    def logit(self, features: Collection[int]) -> float:
        """Those that a window has, of length 1 together; less where they are few."""
        length = math.sqrt(sum(map(self.squares_F.__getitem__, features)))
        if length == 0.0:
            return self.bias
        few = max(math.log2(MANY_FEATURES / len(features)), 0.0)
        return sum(map(self.told_F.__getitem__, features)) / length + self.bias - FEW * few


def weights_file(weights: Weights) -> bytes:
    """Little-endian numbers of single precision: `told_F`, `squares_F`; 2 MiB, most of them 0."""
    return _in_file_order(array("f", [*weights.told_F, *weights.squares_F])).tobytes()


def _in_file_order(numbers: array[float]) -> array[float]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


class LearntStage:
    """Text -> evidence: 1 and more is an attack."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stage = load_stage(folder)
        numbers = _read_weights(folder / WEIGHTS)
        self._weights = Weights(numbers[:BUCKETS], numbers[BUCKETS:], self.stage.bias)

    def __call__(self, text: str) -> float:
        return self.evidence(self.judge(text))

    def judge(self, text: str) -> Judged:
        """Linear in the text, as it is and without what may hide its words."""
        normal = normalised(text)
        judged = self._judge(normal, text)
        plain = bare(normal)
        if plain is None:
            return judged
        return max(judged, self._judge(plain, plain), key=self.evidence)

    def _judge(self, normal: str, read: str) -> Judged:
        worst = Judged(NOTHING, None, 0, read)
        windows = 0
        for window in windows_in(normal):
            windows += 1
            logit = self._weights.logit(window.features)
            if worst.window is None or logit > worst.logit:
                worst = Judged(logit, window, windows, read)
        return worst._replace(windows=windows)

    def evidence(self, judged: Judged) -> float:
        """The probability, by the one that is an attack."""
        least = threshold_of(self.stage.threshold, judged.windows)
        return logistic(judged.logit) / logistic(least)


def threshold_of(threshold: float, windows: int) -> float:
    """What a text of so many windows is asked for."""
    return threshold + MANY_WINDOWS * math.log10(max(windows, 1))


def logistic(logit: float) -> float:
    """A probability, also of what is far from 0."""
    bounded = min(max(logit, -500.0), 500.0)
    return 1 / (1 + math.exp(-bounded))


@cache
def shipped_stage() -> LearntStage:
    """The one that comes with llmops."""
    return LearntStage(SHIPPED)


def load_stage(folder: Path) -> Stage:
    """Raises: UsageError for a folder without one, or one of another version's features."""
    path = folder / MODEL
    try:
        raw = _bytes_of(path, most=MODEL_BYTES)
    except OSError as error:
        raise UsageError(
            f"no learnt stage at {path}: {error.strerror}",
            hint="llmops guard train DATA.jsonl -o FOLDER",
        ) from None
    try:
        stage = msgspec.json.decode(raw, type=Stage)
    except UNREADABLE:
        reason = wrong_in(raw, Stage)
        raise UsageError(f"{path} is no learnt stage: {reason}", hint=TRAIN_AGAIN) from None
    if stage.schema != SCHEMA or stage.features != FORM:
        raise UsageError(f"{path} has the features of another version of llmops", hint=TRAIN_AGAIN)
    return stage


def _bytes_of(path: Path, *, most: int) -> bytes:
    """Of a file: a pipe would never answer, a device never end.

    At most one byte more than `most`. Raises: OSError.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no file")
    with path.open("rb") as opened:
        return opened.read(most + 1)


def _read_weights(path: Path) -> array[float]:
    """Raises: UsageError for a file that is none, has another form, or numbers of no fit."""
    numbers = array("f")
    size = 2 * BUCKETS * numbers.itemsize
    try:
        raw = _bytes_of(path, most=size)
    except OSError as error:
        raise UsageError(f"no weights at {path}: {error.strerror}", hint=TRAIN_AGAIN) from None
    if len(raw) != size:
        raise UsageError(f"{path} has weights of another form", hint=TRAIN_AGAIN)
    numbers.frombytes(raw)
    numbers = _in_file_order(numbers)
    fault = _fault_in(numbers)
    if fault is not None:
        raise UsageError(f"{path} is damaged: {fault}", hint=TRAIN_AGAIN)
    return numbers


def _fault_in(numbers: array[float]) -> str | None:
    """What no fit leaves: with it every text would pass, none, or a root could not be taken."""
    told_F, squares_F = numbers[:BUCKETS], numbers[BUCKETS:]
    if not math.isfinite(sum(told_F)) or not math.isfinite(sum(squares_F)):
        return "a weight that is no number"
    if min(told_F) < -MOST_WEIGHT or max(told_F) > MOST_WEIGHT:
        return f"a weight beyond {MOST_WEIGHT:,.0f}"
    if min(squares_F) < 0.0:
        return "a negative square"
    if max(squares_F) == 0.0:
        return "no word has a weight"
    return None
