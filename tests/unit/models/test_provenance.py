"""A kept model counts while it was made from the same, and is what was made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.models.provenance import (
    Made,
    kept_model,
    record_beside,
    require_ours,
    write_provenance,
)
from llmops_cli.runtime.contents import content_digest
from tests.unit.heard import Heard


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + b"\1" * 5000)
    made = Made(key="k", digest=content_digest(path), size_bytes=5004)
    write_provenance(record_beside(path), made)
    return path


def kept(path: Path, heard: Heard, *, key: str = "k") -> Made | None:
    return kept_model(path, Made, key=key, record=record_beside(path), progress=heard)


def test_a_whole_model_is_kept(model: Path) -> None:
    heard = Heard()
    assert kept(model, heard) is not None
    assert heard.warnings == []


def test_one_made_from_something_else_is_not(model: Path) -> None:
    assert kept(model, Heard(), key="other") is None


@pytest.mark.parametrize("restores_time", [False, True])
def test_a_zeroed_layer_is_found_and_told(model: Path, *, restores_time: bool) -> None:
    assert kept(model, Heard()) is not None
    times = model.stat()
    with model.open("r+b") as file:
        file.seek(1000)
        file.write(b"\0" * 1000)
    if restores_time:
        os.utime(model, ns=(times.st_atime_ns, times.st_mtime_ns))
    heard = Heard()
    assert kept(model, heard) is None
    assert len(heard.warnings) == 1
    assert "its content has changed; it is made again" in heard.warnings[0]


@pytest.mark.parametrize("raw", [b"", b'{"key": "k"', b"[]"])
def test_a_record_that_is_cut_is_told_and_the_model_made_again(raw: bytes, model: Path) -> None:
    record_beside(model).write_bytes(raw)
    heard = Heard()
    assert kept(model, heard) is None
    assert len(heard.warnings) == 1


def test_what_changed_is_told_once_and_may_be_made_again(model: Path) -> None:
    model.write_bytes(b"GGUF" + b"\2" * 5000)
    heard = Heard()
    assert kept(model, heard) is None
    assert kept(model, heard) is None
    assert len(heard.warnings) == 1
    require_ours(model, record_beside(model))


@pytest.mark.parametrize("raw", [None, b"[]", b'{"somebody": "else"}'], ids=str)
def test_what_was_not_made_here_is_never_overwritten(raw: bytes | None, tmp_path: Path) -> None:
    theirs = tmp_path / "their-Q8_0.gguf"
    record = record_beside(theirs)
    if raw is not None:
        record.write_bytes(raw)
    require_ours(theirs, record)  # nothing is there
    theirs.write_bytes(b"years of work")
    with pytest.raises(UsageError, match="llmops did not make it"):
        require_ours(theirs, record)


def test_an_empty_folder_and_the_cache_are_free_to_use(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    require_ours(folder, folder / "llmops.json")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="llmops did not make it"):
        require_ours(folder, folder / "llmops.json")
    inside = tmp_path / "cache" / "llmops" / "quantized" / "half.gguf"
    inside.parent.mkdir(parents=True)
    inside.write_bytes(b"GGUF")
    require_ours(inside, record_beside(inside))


def test_a_moved_model_is_still_what_was_made(model: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    moved = there / model.name
    record_beside(model).rename(record_beside(moved))
    model.rename(moved)
    assert kept(moved, Heard()) is not None
