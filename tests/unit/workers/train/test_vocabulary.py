"""A new model ends with its tokenizer's token; too many tokens are refused."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from _shared.protocol import JobError
from tests.train_settings import SETTINGS
from train.settings import Settings
from train.vocabulary import match

NEW = Settings(**SETTINGS)  # type: ignore[arg-type]
FOREIGN = replace(NEW, model="folder")


class Words:
    bos_token_id = 0
    eos_token_id = 4
    pad_token_id = 0

    def __len__(self) -> int:
        return 8


def model(rows: int) -> Any:
    config = SimpleNamespace(vocab_size=rows, eos_token_id=2)
    config.get_text_config = lambda: config
    return SimpleNamespace(config=config, generation_config=SimpleNamespace(eos_token_id=2))


def test_a_new_model_ends_as_its_tokenizer_does() -> None:
    made = model(8)
    match(made, Words(), NEW)
    assert made.config.eos_token_id == 4
    assert made.generation_config.eos_token_id == 4


def test_a_models_own_tokens_stay() -> None:
    made = model(9)
    match(made, Words(), FOREIGN)
    assert made.config.eos_token_id == 2


def test_more_tokens_than_rows_are_refused() -> None:
    with pytest.raises(JobError, match="has 8 tokens and the model only 7"):
        match(model(7), Words(), FOREIGN)
