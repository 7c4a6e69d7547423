"""The reference page is made from the code."""

from __future__ import annotations

from pathlib import Path

from llmops_cli.cli.reference import RECIPES, reference

PAGE = Path(__file__).parents[3] / "docs" / "REFERENCE.md"


def test_the_page_is_the_current_one() -> None:
    """After a deliberate change: python -m llmops_cli.cli.reference > docs/REFERENCE.md"""
    assert PAGE.read_text() == reference()


def test_every_capability_with_a_recipe_is_in_it() -> None:
    package = Path(__file__).parents[3] / "llmops_cli"
    having = {f"llmops_cli.{path.parent.name}.recipe" for path in package.glob("*/recipe.py")}
    listed = {place.partition(":")[0] for place in RECIPES.values()}
    below = {module for module in listed if module.count(".") > 2}  # of a command below a group
    assert having - {"llmops_cli.pipeline.recipe"} == listed - below  # its recipe has no flags
