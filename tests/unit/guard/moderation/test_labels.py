"""A text classifier of a hub as a moderation model: its labels are OpenAI's categories, or none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from llmops_cli.core.errors import UsageError
from llmops_cli.guard.moderation.model import load_moderation

WORDS = {"[UNK]": 0, "hello": 1, "idiot": 2, "kill": 3}
LOGITS = [[0.0, 0.0, 0.0], [-4.0, -4.0, 4.0], [5.0, -4.0, -4.0], [-4.0, 5.0, -4.0]]
"""Of each word: insult, threat, neutral. A text has the largest of each."""


def exported(folder: Path, **config: object) -> Path:
    tokenizer = Tokenizer(WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    table = numpy_helper.from_array(np.array(LOGITS, dtype=np.float32), "table")
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"], axis=0),
        helper.make_node("ReduceMax", ["words"], ["logits"], axes=[1], keepdims=0),
    ]
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "N"])
    out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph(nodes, "words", [ids], [out], [table])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, folder / "model.onnx")
    labels = {"0": "insult", "1": "threat", "2": "neutral"}
    (folder / "config.json").write_text(json.dumps({"id2label": labels, **config}))
    return folder


def test_labels_are_told_under_openais_names(tmp_path: Path) -> None:
    folder = exported(tmp_path, problem_type="multi_label_classification")
    model = load_moderation(str(folder))
    both = model("idiot kill")
    assert set(both) == {"harassment", "harassment/threatening"}
    assert all(score.is_over for score in both.values())
    assert both["harassment"].probability == pytest.approx(1 / (1 + np.exp(-5.0)), abs=1e-6)
    assert not any(score.is_over for score in model("hello").values())


def test_a_model_that_chooses_one_label_shares_its_probability(tmp_path: Path) -> None:
    model = load_moderation(str(exported(tmp_path)))
    expected = np.exp(5) / (np.exp(5) + 2 * np.exp(-4))
    assert model("idiot")["harassment"].probability == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"id2label": {"0": "spam", "1": "ham", "2": "eggs"}}, "no label that is a category"),
        ({"id2label": None}, "no label that is a category"),
        ({"id2label": ["toxic"]}, "no label that is a category"),
        ({"id2label": {"LABEL": "toxic"}}, "no label that is a category"),
        ({"id2label": {"7": "toxic"}}, "names label 7 of a model with 3"),
    ],
)
def test_a_model_of_something_else_is_refused(
    tmp_path: Path, config: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        load_moderation(str(exported(tmp_path, **config)))


def test_a_broken_file_is_one_line(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    (folder / "model.onnx").write_bytes(b"no model")
    with pytest.raises(UsageError, match="no ONNX model"):
        load_moderation(str(folder))
    (folder / "config.json").write_text("{")
    load_moderation.cache_clear()
    with pytest.raises(UsageError, match="no JSON"):
        load_moderation(str(folder))
