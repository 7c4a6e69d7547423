"""What is written into a folder that others use too."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.deploy.folder import LIST, write_rendered

FILES = {"a/x.yaml": b"x: 1\n", "b.yaml": b"b: 1\n"}


def test_a_second_time_nothing_is_written(tmp_path: Path) -> None:
    first = write_rendered(tmp_path, FILES, force=False)
    second = write_rendered(tmp_path, FILES, force=False)
    assert len(first.written) == 2
    assert second.written == ()
    assert second.unchanged == 2


def test_files_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("mine")
    done = write_rendered(tmp_path, FILES, force=False)
    assert done.kept == ("README",)
    assert (tmp_path / "README").read_text() == "mine"


def test_what_was_changed_by_hand_is_told_before_anything_is_written(tmp_path: Path) -> None:
    write_rendered(tmp_path, FILES, force=False)
    (tmp_path / "b.yaml").write_text("b: 2\n")
    with pytest.raises(UsageError, match=r"changed by hand: b\.yaml"):
        write_rendered(tmp_path, {**FILES, "a/x.yaml": b"x: 3\n", "b.yaml": b"b: 4\n"}, force=False)
    assert (tmp_path / "a/x.yaml").read_bytes() == b"x: 1\n"
    write_rendered(tmp_path, FILES, force=True)
    assert (tmp_path / "b.yaml").read_bytes() == b"b: 1\n"


def test_a_file_of_theirs_in_our_place_is_theirs(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("mine")
    with pytest.raises(UsageError, match="changed by hand"):
        write_rendered(tmp_path, FILES, force=False)


def test_what_is_rendered_no_more_goes(tmp_path: Path) -> None:
    write_rendered(tmp_path, FILES, force=False)
    done = write_rendered(tmp_path, {"b.yaml": b"b: 1\n"}, force=False)
    assert done.removed == ("a/x.yaml",)
    assert not (tmp_path / "a/x.yaml").exists()


def test_a_damaged_list_is_told(tmp_path: Path) -> None:
    write_rendered(tmp_path, FILES, force=False)
    (tmp_path / LIST).write_text("{")
    with pytest.raises(UsageError, match="damaged"):
        write_rendered(tmp_path, FILES, force=False)
