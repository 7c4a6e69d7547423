"""One writer of run folders: made on first use, named after the run, never another's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.runtime.runs import RunFolder, load_report, make_run_dir
from tests.conftest import Cli


def test_a_folder_is_made_on_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = RunFolder("bench", "demo")
    assert not (tmp_path / "results").exists()
    assert folder.path.is_dir()
    assert folder.path == folder.path


def test_an_empty_folder_is_forgotten_and_a_used_one_kept(tmp_path: Path) -> None:
    empty = RunFolder("bench", "demo", chosen=tmp_path / "empty")
    used = RunFolder("bench", "demo", chosen=tmp_path / "used")
    (used.path / "engine.log").write_text("why it ended")
    assert empty.path.is_dir()
    empty.forget_if_empty()
    used.forget_if_empty()
    assert [path.name for path in tmp_path.iterdir()] == ["used"]


def test_a_run_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(UsageError, match="holds a run already"):
        RunFolder("bench", "demo", chosen=tmp_path).require_unused()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        RunFolder("bench", "demo", chosen=tmp_path / "file").require_unused()


def test_a_link_to_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").symlink_to(tmp_path / "gone")
    with pytest.raises(EnvironmentMissing, match=r"is a link to .*gone, which is not there"):
        make_run_dir("bench", "demo", base=tmp_path / "results")


def test_a_file_in_the_place_of_results_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(EnvironmentMissing, match="results"):
        make_run_dir("bench", "demo", base=tmp_path / "results")


@pytest.mark.parametrize(
    "command",
    [
        ("quantize", "demo", "--scheme", "Q8_0"),
        ("convert", "demo", "-o", "m.gguf"),
        ("generate", "in.jsonl", "-o", "out.jsonl", "--backend", "sim"),
        ("bench", "--backend", "sim"),
        ("run", "r.yaml"),
        ("train", "--data", "in.jsonl", "--steps", "1", "-o", "model"),
    ],
    ids=lambda command: command[0],
)
def test_where_no_run_can_be_kept_no_work_begins(
    command: tuple[str, ...], cli: Cli, tmp_path: Path
) -> None:
    """quantize, convert and train said so when all was done."""
    (tmp_path / "in.jsonl").write_text('{"prompt": "a"}\n')
    (tmp_path / "r.yaml").write_text("bench: {requests: 3}\n")
    (tmp_path / "results").symlink_to(tmp_path / "gone")
    before = set(tmp_path.iterdir())
    done = cli(*command)
    assert done.returncode == 3, done.stderr
    assert "which is not there" in done.stderr
    assert set(tmp_path.iterdir()) - before <= {tmp_path / "cache"}


@pytest.mark.parametrize("content", [b"", b"{", b'{"schema": "llmops.bench/2"}', b"\xff\xfe"])
def test_a_broken_report_is_named_with_its_path(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "report.json").write_bytes(content)
    with pytest.raises(UsageError, match=re.escape(str(tmp_path / "report.json"))):
        load_report(tmp_path)


def test_runs_in_a_folder_without_a_report_are_named(tmp_path: Path) -> None:
    """A recipe of steps that was broken off leaves those of its steps."""
    folder = tmp_path / "my run"
    with pytest.raises(UsageError) as told:
        load_report(folder)
    assert told.value.hint == "llmops report list says which runs there are"
    (folder / "bench-F16").mkdir(parents=True)
    (folder / "bench-F16" / "report.json").write_text("{}")
    with pytest.raises(UsageError) as told:
        load_report(folder)
    assert told.value.hint == f"llmops report list '{folder}' says which runs there are"
