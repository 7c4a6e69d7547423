"""The recipes that users copy are recipes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from llmops_cli.core.resolve import resolve
from llmops_cli.runtime.paths import recipes_dir
from llmops_cli.train.recipe import TrainRecipe

RECIPES = sorted(recipes_dir().glob("train-*.yaml"))


def test_there_are_some() -> None:
    assert len(RECIPES) >= 6


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_one(path: Path) -> None:
    fields = yaml.safe_load(path.read_text())["train"]
    wishes = {} if "data" in fields else {"model": "m", "data": ["a.jsonl"]}
    recipe = resolve(TrainRecipe, command="train", file=fields, flags=wishes).recipe
    for name, value in fields.items():
        assert getattr(recipe, name) == value
