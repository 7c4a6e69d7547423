"""Recipes by name."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.pipeline.recipe import load_recipe
from llmops_cli.runtime.recipes import (
    PackagedRecipe,
    copy_recipe,
    packaged_recipe,
    packaged_recipes,
    recipe_file,
    refuse_other_commands,
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


@pytest.mark.parametrize(
    ("text", "command", "call"),
    [
        (["upstreams", "models"], "bench", "llmops serve --config my.yaml"),
        (["plan"], "run", "llmops plan serve --recipe my.yaml"),
        (["train"], "quantize", "llmops train --recipe my.yaml"),
        (["train", "bench"], "quantize", "llmops run my.yaml"),
        (["model", "engines"], "bench", "llmops run my.yaml"),
    ],
)
def test_a_recipe_of_another_command_is_told_with_its_call(
    text: list[str], command: str, call: str
) -> None:
    with pytest.raises(UsageError, match=f"no recipe of llmops {command}") as told:
        refuse_other_commands(Path("my.yaml"), text, command=command, known=["model", "steps"])
    assert told.value.hint == call


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("model: demo\nbench: {}\nenginess: []\n", "engines"),
        ("quantize: {}\nbench: {}\nevalaute: {}\n", "evaluate"),
    ],
)
def test_a_misspelt_key_of_steps_is_told_with_the_nearest(
    text: str, nearest: str, tmp_path: Path
) -> None:
    """They were told to go to the command that they had typed."""
    path = tmp_path / "my.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match="unknown recipe key") as told:
        load_recipe(path)
    assert nearest in (told.value.hint or "")


def test_a_path_with_a_space_is_one_word() -> None:
    with pytest.raises(UsageError) as told:
        refuse_other_commands(Path("my gate.yaml"), ["upstreams"], command="run", known=["train"])
    words = shlex.split(told.value.hint or "")
    assert words == ["llmops", "serve", "--config", "my gate.yaml"]


def test_a_packaged_one_is_told_as_its_first_lines_say() -> None:
    gateway = Path(packaged_recipe("gateway").path)
    with pytest.raises(UsageError) as told:
        refuse_other_commands(gateway, ["upstreams"], command="run", known=["train"])
    assert told.value.hint == f"llmops {packaged_recipe('gateway').commands[-1]}"


def test_a_misspelt_key_is_nobodys_recipe() -> None:
    refuse_other_commands(Path("my.yaml"), ["concurency"], command="bench", known=["concurrency"])
