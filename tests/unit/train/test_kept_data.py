"""Tokenizers and tokenized data of the cache are used while they are what was made."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.runtime.paths import cache_dir
from llmops_cli.train import kept_data
from llmops_cli.train.kept_data import forget_damaged, remember_made
from tests.unit.heard import Heard


@pytest.fixture
def tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cache_dir() / "tokenizers" / "0123-1024"
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text("{}")
    (folder / "ids.i32").write_bytes(bytes(64))
    (cache_dir() / "indexes").mkdir()
    return folder


def test_what_is_whole_stays(tokenizer: Path) -> None:
    heard = Heard()
    remember_made()
    forget_damaged(heard)
    assert tokenizer.is_dir()
    assert heard.warnings == []


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("damage", [b"", b"[]", b'{"mod'])
def test_what_was_damaged_is_told_and_goes(
    damage: bytes, tokenizer: Path, monkeypatch: pytest.MonkeyPatch, *, is_large: bool
) -> None:
    """It ended every training with a traceback, until somebody removed it by hand."""
    if is_large:
        monkeypatch.setattr(kept_data, "READ_BYTES", 1)
    remember_made()
    (tokenizer / "tokenizer.json").write_bytes(damage)
    heard = Heard()
    forget_damaged(heard)
    assert not tokenizer.exists()
    assert list(tokenizer.parent.iterdir()) == []
    assert "its content has changed" in heard.warnings[0]


def test_tokens_that_were_zeroed_are_found_and_those_of_a_removed_folder_forgotten(
    tokenizer: Path,
) -> None:
    remember_made()
    (tokenizer / "ids.i32").write_bytes(bytes(63) + b"x")
    forget_damaged(Heard())
    assert not tokenizer.exists()
    remember_made()
    assert list(tokenizer.parent.iterdir()) == []
