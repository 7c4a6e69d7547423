"""Who mistypes a path is shown what lies beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.models.find import require_reference
from llmops_cli.redteam.suite import read_suite
from llmops_cli.runtime.near_path import near_path
from llmops_cli.runtime.recipes import gateway_path, recipe_file
from llmops_cli.runtime.runs import load_report


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("team.yaml", "out.jsonl", "report.csv", "report.html"):
        (tmp_path / name).write_text("")
    for name in ("before", "small"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("find", "given", "meant"),
    [
        (gateway_path, Path("gatewy"), "gateway"),
        (gateway_path, Path("teem.yaml"), "team.yaml"),
        (recipe_file, Path("quickstrat"), "quickstart"),
        (recipe_file, Path("taem.yaml"), "team.yaml"),
        (load_report, Path("befor"), "before"),
        (require_reference, "./smal", "small"),
        (require_reference, "dmeo", "demo"),
        (read_suite, Path("teams.yaml"), "team.yaml"),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_slip_is_told_with_what_was_meant(
    find: Callable[[Any], object],  # Any: a path or a name
    given: object,
    meant: str,
) -> None:
    with pytest.raises(UsageError) as caught:
        find(given)
    assert caught.value.hint == f"did you mean '{meant}'?"


@pytest.mark.usefixtures("here")
def test_what_is_like_nothing_keeps_the_hint_of_its_own() -> None:
    Path("bench-20261130-0907").mkdir()
    for name in ("in.jsonl", "x", "elsewhere/team.yaml", "bench-20261129-1806"):
        assert near_path(Path(name), "name a file") == "name a file"
    with pytest.raises(UsageError) as caught:
        gateway_path(Path("other.yaml"))
    assert "recipes copy gateway" in (caught.value.hint or "")


def test_a_folder_without_a_run_has_no_other_file_for_one(here: Path) -> None:
    with pytest.raises(UsageError, match="no report at") as caught:
        load_report(here)
    assert caught.value.hint == "llmops report list says which runs there are"
    (here / "small" / "demo-Q8_0.gguf").write_bytes(b"GGUF")
    with pytest.raises(UsageError, match="no report at") as caught:
        load_report(here / "small")
    assert "the run that made them is among those of llmops report list" in str(caught.value.hint)


def test_what_is_there_and_of_another_kind_is_no_slip_of_itself(tmp_path: Path) -> None:
    (tmp_path / "answers").mkdir()
    (tmp_path / "answer").mkdir()
    assert near_path(tmp_path / "answers", "name a file") == "name a file"
