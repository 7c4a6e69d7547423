"""A text classifier in ONNX form as a score, as optimum or transformers export them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from llmops_cli.core.errors import EnvironmentMissing, UsageError

ATTACK_LABELS = ("injection", "jailbreak", "unsafe", "malicious", "label_1", "1", "attack", "toxic")
WINDOW = 512
"""Tokens."""
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
CONFIG = "config.json"


class OnnxClassifier:
    """The largest probability of an attack over windows of 512 tokens."""

    def __init__(self, folder: str) -> None:
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError:
            raise EnvironmentMissing(
                "ONNX classifiers need onnxruntime and tokenizers",
                hint="pip install onnxruntime tokenizers",
            ) from None
        path = Path(folder)
        model = path / MODEL
        tokenizer = path / TOKENIZER
        if not model.is_file() or not tokenizer.is_file():
            raise UsageError(f"{folder} has no {MODEL} and {TOKENIZER}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._names = {value.name for value in self._session.get_inputs()}
        self._attacks = _attack_classes(path / CONFIG)

    def __call__(self, text: str) -> float:
        ids = self._tokenizer.encode(text).ids or [0]
        windows = [ids[start : start + WINDOW] for start in range(0, len(ids), WINDOW)]
        return max(self._score(window) for window in windows)

    def _score(self, ids: list[int]) -> float:
        row = np.array([ids], dtype=np.int64)
        feeds = {
            "input_ids": row,
            "attention_mask": np.ones_like(row),
            "token_type_ids": np.zeros_like(row),
        }
        (logits, *_) = self._session.run(None, {name: feeds[name] for name in self._names})
        if logits.shape[-1] == 1:
            return float(1 / (1 + np.exp(-logits[0, 0])))
        shares = np.exp(logits[0] - logits[0].max())
        return float(shares[self._attacks].sum() / shares.sum())


def _attack_classes(config: Path) -> list[int]:
    """Numbers of the classes whose labels mean an attack; 1 where the labels tell nothing."""
    if not config.is_file():
        return [1]
    labels = json.loads(config.read_text()).get("id2label") or {}
    return [int(number) for number, label in labels.items() if _is_attack(label)] or [1]


def _is_attack(label: object) -> bool:
    return str(label).lower() in ATTACK_LABELS
