"""A text classifier in ONNX form as a score: any sequence classifier that optimum or transformers
exported.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from llmops_cli.core.errors import EnvironmentMissing, UsageError

ATTACK_LABELS = ("injection", "jailbreak", "unsafe", "malicious", "label_1", "1", "attack", "toxic")
WINDOW = 512


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
        if not (path / "model.onnx").is_file() or not (path / "tokenizer.json").is_file():
            raise UsageError(f"{folder} has no model.onnx and tokenizer.json")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        self._names = {value.name for value in self._session.get_inputs()}
        config = (
            json.loads((path / "config.json").read_text())
            if (path / "config.json").is_file()
            else {}
        )
        labels = {
            int(index): str(label).lower()
            for index, label in (config.get("id2label") or {}).items()
        }
        self._attacks = [i for i, label in labels.items() if label in ATTACK_LABELS] or [1]

    def __call__(self, text: str) -> float:
        ids = self._tokenizer.encode(text).ids or [0]
        return max(self._score(ids[start : start + WINDOW]) for start in range(0, len(ids), WINDOW))

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
