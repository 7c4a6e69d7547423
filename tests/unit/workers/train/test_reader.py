"""A folder's tokenizer is read as training and serving read it, by the short way too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # noqa: E402

from train.index import _tokenizer_in  # noqa: E402


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a token for 12, which Qwen 2's own class of tokenizers never makes: it parts digits."""
    letters = {letter: number for number, letter in enumerate(sorted(letters_of_bytes()))}
    made = Tokenizer(
        models.BPE(vocab={**letters, "12": 256, "<eos>": 257}, merges=[("1", "2")]),
    )
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.save(str(tmp_path / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<eos>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    return tmp_path


def letters_of_bytes() -> set[str]:
    return set(pre_tokenizers.ByteLevel.alphabet())


@pytest.mark.parametrize("model_type", [None, "llama", "qwen2"])
def test_it_says_what_transformers_own_way_says(folder: Path, model_type: str | None) -> None:
    if model_type is not None:
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    known = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    found = _tokenizer_in(str(folder))
    for text in ("1234", "x12 345", "What is 12 + 3?"):
        assert found(text)["input_ids"] == known(text)["input_ids"]
