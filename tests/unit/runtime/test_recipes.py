"""Recipes by name."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.runtime.recipes import (
    PackagedRecipe,
    copy_recipe,
    packaged_recipe,
    packaged_recipes,
    recipe_file,
)

RECIPES = packaged_recipes()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_each_says_what_it_is_for_and_a_command_that_names_it(recipe: PackagedRecipe) -> None:
    assert recipe.summary.endswith(".")
    words = shlex.split(recipe.commands[-1])
    assert {recipe.name, f"{recipe.name}.yaml"} & set(words)


def test_a_file_that_is_there_goes_before_a_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    named = recipe_file(Path("quickstart"))
    assert named == Path(packaged_recipe("quickstart").path)
    Path("quickstart").write_text("model: demo\n")
    assert recipe_file(Path("quickstart")) == Path("quickstart")


@pytest.mark.parametrize("given", ["quikstart", "recipes/quickstart.yaml", "./quickstart.yml"])
def test_what_is_not_there_is_told_of_with_the_nearest_name(
    given: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        recipe_file(Path(given))
    assert error.value.hint == "did you mean 'quickstart'?"


def test_a_copy_is_one_s_own_and_replaces_nothing(tmp_path: Path) -> None:
    written = copy_recipe("quickstart", tmp_path)
    assert written == tmp_path / "quickstart.yaml"
    written.write_text("changed\n")
    with pytest.raises(UsageError, match="is there already"):
        copy_recipe("quickstart", tmp_path)
    assert written.read_text() == "changed\n"
