"""A text classifier in ONNX form as a score, as optimum or transformers export them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmops_cli.core.errors import EnvironmentMissing, UsageError

ATTACK_LABELS = ("injection", "jailbreak", "unsafe", "malicious", "label_1", "1", "attack", "toxic")
WINDOW = 512
"""Tokens."""
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
CONFIG = "config.json"
REASON_CHARS = 160


def session_of(model: Path) -> Any:  # Any: onnxruntime has no types
    """On one core. Raises: EnvironmentMissing without onnxruntime, UsageError for no model."""
    try:
        import onnxruntime
    except ImportError:
        raise EnvironmentMissing(
            "ONNX models need onnxruntime", hint="pip install onnxruntime tokenizers"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - it has an error of its own for each cause
        reason = str(error).strip().splitlines()[0][:REASON_CHARS]
        raise UsageError(f"{model} is no ONNX model that can be run: {reason}") from None


class OnnxText:
    """A text classifier and its tokenizer: a row of logits for each window of 512 tokens."""

    def __init__(self, folder: Path) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise EnvironmentMissing(
                "ONNX classifiers need tokenizers", hint="pip install onnxruntime tokenizers"
            ) from None
        model = folder / MODEL
        tokenizer = folder / TOKENIZER
        if not model.is_file() or not tokenizer.is_file():
            raise UsageError(f"{folder} has no {MODEL} and {TOKENIZER}")
        self._session = session_of(model)
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._names = {value.name for value in self._session.get_inputs()}

    def width(self) -> int | None:
        """Of a row of logits, where the file says it."""
        last = self._session.get_outputs()[0].shape[-1]
        return last if isinstance(last, int) else None

    def logits(self, text: str) -> Iterator[Sequence[float]]:
        ids = self._tokenizer.encode(text).ids or [0]
        for start in range(0, len(ids), WINDOW):
            row = np.array([ids[start : start + WINDOW]], dtype=np.int64)
            feeds = {
                "input_ids": row,
                "attention_mask": np.ones_like(row),
                "token_type_ids": np.zeros_like(row),
            }
            (found, *_) = self._session.run(None, {name: feeds[name] for name in self._names})
            yield found[0]


class OnnxClassifier:
    """The largest probability of an attack over windows of 512 tokens."""

    def __init__(self, folder: str) -> None:
        path = Path(folder)
        self._texts = OnnxText(path)
        self._attacks = _attack_classes(path / CONFIG)

    def __call__(self, text: str) -> float:
        return max(self._score(np.array(logits)) for logits in self._texts.logits(text))

    def _score(self, logits: NDArray[np.float64]) -> float:
        if logits.shape[-1] == 1:
            return float(1 / (1 + np.exp(-logits[0])))
        shares = np.exp(logits - logits.max())
        return float(shares[self._attacks].sum() / shares.sum())


def _attack_classes(config: Path) -> list[int]:
    """Numbers of the classes whose labels mean an attack; 1 where the labels tell nothing."""
    if not config.is_file():
        return [1]
    labels = json.loads(config.read_text(encoding="utf-8")).get("id2label") or {}
    return [int(number) for number, label in labels.items() if _is_attack(label)] or [1]


def _is_attack(label: object) -> bool:
    return str(label).lower() in ATTACK_LABELS
