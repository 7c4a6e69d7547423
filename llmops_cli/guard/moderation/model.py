"""A moderation model in a folder: text -> how likely each of OpenAI's categories is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from llmops_cli.core.errors import UsageError
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in
from llmops_cli.guard.moderation.categories import CATEGORIES, category_of
from llmops_cli.guard.moderation.features import FORM, hashed, read_part, windows_of
from llmops_cli.guard.onnx import CONFIG, MODEL, OnnxText, session_of

CARD = "moderation.json"
SCHEMA = "llmops.moderation-model/1"
EVEN = 0.5
"""From which a category counts where nobody has chosen a threshold."""


class ModerationCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a model of ours. `thresholds` by category, in the order of the model's outputs."""

    schema: str = SCHEMA
    features: str
    version: str
    thresholds: dict[str, float]
    data_digest: str


class CategoryScore(msgspec.Struct, frozen=True):
    probability: float
    threshold: float

    @property
    def is_over(self) -> bool:
        return self.probability >= self.threshold


Moderation = Callable[[str], dict[str, CategoryScore]]


@cache
def load_moderation(folder: str) -> Moderation:
    """Of `llmops guard train`, or a text classifier with its tokenizer, as optimum exports them.

    Raises: UsageError for a folder with neither; EnvironmentMissing without onnxruntime.
    """
    path = Path(folder)
    if (path / CARD).is_file():
        return HashedModeration(path)
    return LabelledModeration(path)


class HashedModeration:
    """A model of ours over hashed features."""

    def __init__(self, folder: Path) -> None:
        self.card = read_card(folder / CARD)
        self._session = session_of(folder / MODEL)

    def __call__(self, text: str) -> dict[str, CategoryScore]:
        """The most that any window has, or the text as a whole."""
        rows = [self._probabilities(read_part(text))]
        windows = windows_of(text)
        if len(windows) > 1:
            rows += [self._probabilities(window) for window in windows]
        most = [max(column) for column in zip(*rows, strict=True)]
        pairs = zip(self.card.thresholds.items(), most, strict=True)
        return {name: CategoryScore(found, least) for (name, least), found in pairs}

    def _probabilities(self, window: str) -> list[float]:
        found = hashed(window)
        if not found.numbers:
            return [0.0] * len(self.card.thresholds)
        feeds = {
            "numbers": np.array(found.numbers, dtype=np.int64),
            "values": np.array(found.values, dtype=np.float32),
        }
        (probabilities,) = self._session.run(None, feeds)
        return [float(each) for each in probabilities]


class LabelledModeration:
    """Somebody's classifier whose labels mean OpenAI's categories, or some of them."""

    def __init__(self, folder: Path) -> None:
        self._categories = labels_in(folder)
        self._is_multiple = _config(folder).get("problem_type") == "multi_label_classification"
        self._texts = OnnxText(folder)
        most = self._texts.width()
        if most is not None and max(self._categories) >= most:
            said = f"{folder / CONFIG} names label {max(self._categories)} of a model with {most}"
            raise UsageError(said, hint="config.json and model.onnx are of two models")

    def __call__(self, text: str) -> dict[str, CategoryScore]:
        found: dict[str, float] = {}
        for logits in self._texts.logits(text):
            shares = _sigmoid(logits) if self._is_multiple else _softmax(logits)
            for number, name in self._categories.items():
                found[name] = max(found.get(name, 0.0), float(shares[number]))
        return {name: CategoryScore(share, EVEN) for name, share in found.items()}


def labels_in(folder: Path) -> dict[int, str]:
    """Numbers of the model's outputs -> OpenAI's names. Raises: UsageError for a model of none."""
    labels = _config(folder).get("id2label")
    found = {}
    for number, label in labels.items() if isinstance(labels, dict) else ():
        name = category_of(str(label))
        if name is not None and str(number).isdecimal():
            found[int(number)] = name
    if not found:
        raise UsageError(
            f"{folder / CONFIG} has no label that is a category of moderation",
            hint=f"id2label with names such as {', '.join(CATEGORIES[:4])}, or toxic, threat",
        )
    return found


def read_card(path: Path) -> ModerationCard:
    """Raises: UsageError for one of another version."""
    raw = path.read_bytes()
    hint = "train it again: llmops guard train DATA.jsonl -o FOLDER"
    try:
        card = msgspec.json.decode(raw, type=ModerationCard)
    except UNREADABLE:
        words = f"{path} is no card of a moderation model: {wrong_in(raw, ModerationCard)}"
        raise UsageError(words, hint=hint) from None
    if card.schema != SCHEMA or card.features != FORM:
        raise UsageError(f"{path} has the features of another version of llmops", hint=hint)
    return card


def _config(folder: Path) -> dict[str, Any]:  # Any: a hub's JSON
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"no moderation model at {folder}: {CONFIG}: {error.strerror}",
            hint="llmops guard train makes one; or config.json, model.onnx and tokenizer.json",
        ) from None
    except ValueError:
        raise UsageError(f"{folder / CONFIG} is no JSON") from None
    return found if isinstance(found, dict) else {}


def _sigmoid(logits: Sequence[float]) -> list[float]:
    shares = 1 / (1 + np.exp(-np.clip(np.array(logits), -500, 500)))
    return [float(each) for each in shares]


def _softmax(logits: Sequence[float]) -> list[float]:
    shares = np.exp(np.array(logits) - max(logits))
    return [float(each) for each in shares / shares.sum()]
