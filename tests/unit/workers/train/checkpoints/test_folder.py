"""A checkpoint appears whole or not at all, and what killed runs left is removed."""

from __future__ import annotations

from pathlib import Path

from train.checkpoints import folder as folders


def made(root: Path, name: str, text: str = "x") -> Path:
    path = root / name
    path.mkdir(parents=True)
    (path / "file").write_text(text)
    return path


def test_only_finished_steps_count_newest_first(tmp_path: Path) -> None:
    for name in ("step-9", "step-10", "step-11.tmp-ab12", "step-3.gone-ab12", "other"):
        made(tmp_path, name)
    assert folders.steps_in(tmp_path) == [10, 9]
    assert folders.steps_in(tmp_path / "nowhere") == []


def test_publishing_replaces_a_step_of_the_same_number(tmp_path: Path) -> None:
    made(tmp_path, "step-5", "old")
    temporary = made(tmp_path, "step-5.tmp-ab", "new")
    folders.publish(temporary, tmp_path / "step-5", "ab")
    assert (tmp_path / "step-5/file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["step-5"]


def test_leftovers_are_removed_and_named(tmp_path: Path) -> None:
    made(tmp_path, "step-5")
    made(tmp_path, "step-5.was-ab", "former")
    made(tmp_path, "step-6.tmp-ab")
    made(tmp_path, "step-1.gone-ab")
    assert folders.clean(tmp_path) == ["step-1.gone-ab", "step-5.was-ab", "step-6.tmp-ab"]
    assert [path.name for path in tmp_path.iterdir()] == ["step-5"]


def test_a_step_that_was_moved_out_of_the_way_comes_back_if_the_new_one_never_came(
    tmp_path: Path,
) -> None:
    made(tmp_path, "step-5.was-ab", "former")
    folders.clean(tmp_path)
    assert (tmp_path / "step-5/file").read_text() == "former"


def test_a_run_that_begins_anew_keeps_what_was_there(tmp_path: Path) -> None:
    made(tmp_path, "step-5")
    assert folders.set_aside(tmp_path) == tmp_path / "before-1"
    made(tmp_path, "step-7")
    assert folders.set_aside(tmp_path) == tmp_path / "before-2"
    assert folders.set_aside(tmp_path) is None
    assert (tmp_path / "before-1/step-5/file").exists()
