"""Digests of kept files are those of their content, whatever their times say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmops_cli.runtime import contents
from llmops_cli.runtime.contents import content_digest, read_state
from llmops_cli.runtime.digests import digest_path
from llmops_cli.runtime.files import size_of
from tests.unit.heard import Heard


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    (made / "deep").mkdir(parents=True)
    (made / "weights").write_bytes(b"\1" * 4096)
    (made / "deep" / "config").write_text("{}")
    (made / ".hidden").write_text("x")
    return made


def test_what_tools_keep_in_hidden_folders_does_not_count(folder: Path) -> None:
    before = (content_digest(folder), digest_path(folder), size_of(folder))
    for place in (".git", ".cache/huggingface/download", "deep/.ipynb_checkpoints"):
        (folder / place).mkdir(parents=True)
        (folder / place / "index").write_text("changed by looking")
    assert (content_digest(folder), digest_path(folder), size_of(folder)) == before
    (folder / "deep" / "more").write_text("counts")
    assert content_digest(folder) == digest_path(folder) != before[0]


def test_a_memory_of_digests_that_is_no_text_is_forgotten(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "SETTLED_NS", -(10**18))
    before = content_digest(folder)
    (kept,) = (tmp_path / "cache" / "llmops" / "digests").iterdir()
    kept.write_bytes(b'{"\xff\xfe": 1}')
    assert content_digest(folder) == before


def test_it_is_the_digest_of_the_path(folder: Path) -> None:
    assert content_digest(folder) == digest_path(folder)
    assert content_digest(folder / "weights") == digest_path(folder / "weights")


def test_a_changed_content_with_its_old_time_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "SETTLED_NS", -(10**18))  # remembered at once
    weights = folder / "weights"
    before = content_digest(folder)
    assert content_digest(folder) == before
    times = weights.stat()
    with weights.open("r+b") as file:
        file.write(b"\0" * 100)
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert weights.stat().st_mtime_ns == times.st_mtime_ns
    assert content_digest(folder) != before
    assert content_digest(folder) == digest_path(folder)


def test_what_did_not_change_is_not_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "SETTLED_NS", -(10**18))
    before = content_digest(folder)
    (folder / "weights").chmod(0)  # changes its change time, so it would be read if it could
    (folder / "weights").chmod(0o644)
    assert content_digest(folder) == before
    read: list[Path] = []
    monkeypatch.setattr(contents, "digest_file", read.append)
    assert content_digest(folder) == before
    assert read == []


def test_a_file_that_is_left_out_may_change(folder: Path) -> None:
    before = content_digest(folder, leaving={"README.md"})
    (folder / "README.md").write_text("new")
    assert content_digest(folder, leaving={"README.md"}) == before
    assert content_digest(folder) != before


@pytest.mark.parametrize("raw", [b"", b'{"a": ', b'{"a": "text"}', b"\xff\xfe"])
def test_state_that_cannot_be_read_is_told_once_and_forgotten(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(raw)
    heard = Heard()
    assert read_state(path, dict[str, int], progress=heard) is None
    assert len(heard.warnings) == 1
    assert str(path) in heard.warnings[0]
    assert read_state(path, dict[str, int], progress=heard) is None
    assert len(heard.warnings) == 1


def test_a_damaged_memory_of_digests_costs_nothing_but_time(folder: Path, tmp_path: Path) -> None:
    before = content_digest(folder)
    for memory in (tmp_path / "cache").rglob("*.json"):
        memory.write_bytes(b"")
    assert content_digest(folder) == before
