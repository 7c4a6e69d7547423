"""Tokenizers and tokenized data of the cache are used while they are what was made."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from llmops_cli.runtime.paths import cache_dir
from llmops_cli.train import kept_data
from llmops_cli.train.kept_data import forget_damaged, remember_made
from tests.unit.heard import Heard

NOBODY = 65534


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
    remember_made(Heard())
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
    remember_made(Heard())
    (tokenizer / "tokenizer.json").write_bytes(damage)
    heard = Heard()
    forget_damaged(heard)
    assert not tokenizer.exists()
    assert list(tokenizer.parent.iterdir()) == []
    assert "its content has changed" in heard.warnings[0]


def test_what_somebody_else_keeps_to_themselves_is_not_damaged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a cache that several users share: its files could not be seen, so it was removed."""
    heard = Heard()
    with TemporaryDirectory() as shared:
        Path(shared).chmod(0o777)
        monkeypatch.setenv("XDG_CACHE_HOME", shared)
        theirs = cache_dir() / "tokenizers" / "0123-1024"
        theirs.mkdir(parents=True)
        (theirs / "tokenizer.json").write_text("{}")
        remember_made(Heard())
        theirs.chmod(0)
        us = os.geteuid()
        if us == 0:
            os.seteuid(NOBODY)
        can_enter = os.access(shared, os.X_OK, effective_ids=True)
        if not can_enter:
            os.seteuid(us)
            theirs.chmod(0o700)
            pytest.skip("the folder for temporary files is closed to other users")
        try:
            forget_damaged(heard)
            remember_made(heard)
        finally:
            os.seteuid(us)
        theirs.chmod(0o700)
        assert (theirs / "tokenizer.json").is_file()
    assert heard.warnings == []


def test_tokens_that_were_zeroed_are_found_and_those_of_a_removed_folder_forgotten(
    tokenizer: Path,
) -> None:
    remember_made(Heard())
    (tokenizer / "ids.i32").write_bytes(bytes(63) + b"x")
    forget_damaged(Heard())
    assert not tokenizer.exists()
    remember_made(Heard())
    assert list(tokenizer.parent.iterdir()) == []


@pytest.fixture
def index(tokenizer: Path) -> Path:
    folder = tokenizer.parents[1] / "indexes" / "0123456789ab"
    folder.mkdir()
    (folder / "begins.i64").write_bytes(bytes(64))
    (folder / "checksums.u32").write_bytes(bytes(32))
    (folder / "index.json").write_text("{}")
    (folder / "training-0.1.i64").write_bytes(bytes(8))
    return folder


def test_an_index_to_which_another_share_came_is_not_damaged(index: Path) -> None:
    """It was removed below a training that used it."""
    heard = Heard()
    remember_made(heard)
    (index / "training-0.2.i64").write_bytes(bytes(16))
    (index / "index.json").write_text('{"rows": 1}')
    forget_damaged(heard)
    assert heard.warnings == []
    remember_made(heard)
    (index / "training-0.2.i64").write_bytes(bytes(15) + b"x")
    forget_damaged(heard)
    assert not index.exists()
    assert len(heard.warnings) == 1


def test_an_index_that_was_made_again_without_a_share_is_not_damaged(index: Path) -> None:
    heard = Heard()
    remember_made(heard)
    for name in ("checksums.u32", "training-0.1.i64"):
        (index / name).unlink()
    forget_damaged(heard)
    assert index.exists()
    (index / "begins.i64").unlink()
    forget_damaged(heard)
    assert not index.exists()
    assert len(heard.warnings) == 1


def test_what_somebody_makes_just_now_is_left_alone(index: Path, tokenizer: Path) -> None:
    half = tokenizer.with_name("0123-1024.77.tmp")
    half.mkdir()
    (half / "tokenizer.json").write_text("{")
    lock = index.with_name(f"{index.name}.lock")
    lock.touch()
    heard = Heard()
    remember_made(heard)
    for folder in (half, index):
        for file in folder.iterdir():
            file.write_bytes(b"")
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        forget_damaged(heard)
        assert heard.warnings == []
        assert half.is_dir()
        assert index.is_dir()
    forget_damaged(heard)
    assert half.is_dir()
    assert not index.exists()


def test_a_folder_that_goes_meanwhile_is_no_failure(
    tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = [tokenizer / "gone.json"]
    monkeypatch.setattr(kept_data, "visible_files", lambda _folder: gone)
    remember_made(Heard())
    forget_damaged(Heard())
    assert tokenizer.is_dir()


def test_a_record_of_before_is_made_again_without_a_word(tokenizer: Path) -> None:
    record = tokenizer.with_name(f"{tokenizer.name}.json")
    record.write_text('{"digest": "sha256:0"}')
    heard = Heard()
    forget_damaged(heard)
    remember_made(heard)
    (tokenizer / "ids.i32").write_bytes(b"")
    assert heard.warnings == []
    forget_damaged(heard)
    assert not tokenizer.exists()
