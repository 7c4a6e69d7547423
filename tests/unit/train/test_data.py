"""What `--data` names: files, with weights, and splits of folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.train.admission import check_files
from llmops_cli.train.data import DataFile, data_digest, data_files
from llmops_cli.train.recipe import TrainRecipe


def test_files_weights_and_splits(tmp_path: Path) -> None:
    file = tmp_path / "a=b.jsonl"
    file.write_text("{}")
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.jsonl").write_text("{}")
    named = [str(file), f"{file}=2.5", f"{folder}:train=3", str(folder)]
    recipe = TrainRecipe(data=named)
    assert data_files(recipe) == [
        DataFile(path=str(file)),
        DataFile(path=str(file), weight=2.5),
        DataFile(path=f"{folder}:train", weight=3.0),
        DataFile(path=str(folder)),
    ]
    recipes = [
        TrainRecipe(data=[str(folder)]),
        TrainRecipe(data=[f"{folder}:train"]),
        TrainRecipe(data=[f"{folder}:test"]),
        TrainRecipe(data=[str(file), str(folder)]),
        TrainRecipe(data=[str(file)], validation=[str(folder)]),
        TrainRecipe(data=[f"{file}=1", f"{folder}=2"]),
    ]
    assert len({data_digest(recipe) for recipe in recipes}) == len(recipes)


@pytest.mark.parametrize("name", ["absent.jsonl", "absent:train", "a.jsonl:train"])
def test_what_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.jsonl").write_text("{}")
    with pytest.raises(UsageError, match="no training data at"):
        check_files(TrainRecipe(data=[str(tmp_path / name)]), elsewhere=False)


@pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf", "-inf"])
def test_a_weight_is_a_number_above_0(tmp_path: Path, weight: str) -> None:
    (tmp_path / "a.jsonl").write_text("{}")
    with pytest.raises(UsageError, match="a weight is a number above 0"):
        data_files(TrainRecipe(data=[f"{tmp_path / 'a.jsonl'}={weight}"]))
    with pytest.raises(UsageError, match="some have none"):
        check_files(TrainRecipe(data=["a.jsonl=2", "b.jsonl"]), elsewhere=True)


def test_one_file_by_two_names_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("{}")
    link = tmp_path / "link.jsonl"
    link.symlink_to(file)
    hard = tmp_path / "hard.jsonl"
    hard.hardlink_to(file)
    for name in (file, link, hard):
        with pytest.raises(UsageError, match="is the same as"):
            check_files(TrainRecipe(data=[str(file), str(name)]), elsewhere=False)
        with pytest.raises(UsageError, match="is trained on"):
            recipe = TrainRecipe(data=[str(file)], validation=[str(name)])
            check_files(recipe, elsewhere=False)
    folder = tmp_path / "set"
    folder.mkdir()
    splits = [f"{folder}:train", f"{folder}:test"]
    check_files(TrainRecipe(data=splits), elsewhere=False)
