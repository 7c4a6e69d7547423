"""What a folder of sentence-transformers says of its vectors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from _shared.sentence_model import (
    SentenceModel,
    UnknownModule,
    makes_vectors,
    read_sentence_model,
)

TRANSFORMER = {"path": "", "type": "sentence_transformers.models.Transformer"}
POOLING = {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
NORMALIZE = {"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}
DENSE = {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}


def folder_of(
    place: Path,
    modules: list[dict[str, str]],
    pooling: dict[str, object],
) -> Path:
    (place / "modules.json").write_text(json.dumps(modules))
    (place / "1_Pooling").mkdir()
    (place / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return place


def test_a_plain_folder_has_the_mean_at_unit_length(tmp_path: Path) -> None:
    assert read_sentence_model(tmp_path) == SentenceModel(pooling="mean", normalizes=True)


@pytest.mark.parametrize(
    ("pooling", "name"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": "lasttoken"}, "last"),
    ],
    ids=["mean", "cls", "last", "new mean", "new last"],
)
def test_its_pooling_has_one_name(tmp_path: Path, pooling: dict[str, object], name: str) -> None:
    folder = folder_of(tmp_path, [TRANSFORMER, POOLING], pooling)
    found = read_sentence_model(folder)
    assert found.pooling == name
    assert not found.normalizes


def test_length_and_longest_text_are_its_own(tmp_path: Path) -> None:
    modules = [TRANSFORMER, POOLING, NORMALIZE]
    folder = folder_of(tmp_path, modules, {"pooling_mode_mean_tokens": True})
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 256}')
    found = read_sentence_model(folder)
    assert found.normalizes
    assert found.max_tokens == 256


@pytest.mark.parametrize(
    ("modules", "pooling", "words"),
    [
        ([TRANSFORMER, POOLING, DENSE], {"pooling_mode_mean_tokens": True}, "Dense"),
        ([TRANSFORMER, POOLING], {"pooling_mode_max_tokens": True}, "max"),
        (
            [TRANSFORMER, POOLING],
            {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
            "mean and cls",
        ),
        ([TRANSFORMER, POOLING], {}, "nothing"),
    ],
    ids=["dense", "max", "two", "none"],
)
def test_what_is_not_computed_here_is_named(
    tmp_path: Path,
    modules: list[dict[str, str]],
    pooling: dict[str, object],
    words: str,
) -> None:
    with pytest.raises(UnknownModule, match=words):
        read_sentence_model(folder_of(tmp_path, modules, pooling))


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        ("BertModel", True),
        ("XLMRobertaModel", True),
        ("LlamaForCausalLM", False),
        ("GPT2LMHeadModel", False),
        ("Gemma3ForConditionalGeneration", False),
    ],
)
def test_a_model_without_a_head_of_text_makes_vectors(
    tmp_path: Path, architecture: str, expected: bool
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    assert makes_vectors(tmp_path) is expected
    (tmp_path / "modules.json").write_text("[]")
    assert makes_vectors(tmp_path)
