"""Trackers that a run is also told to, and whether they are there."""

from __future__ import annotations

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.spec import Env
from llmops_cli.runtime.imports import missing_modules
from llmops_cli.train.recipe import TrainRecipe

TRACKERS = ("tensorboard", "mlflow", "wandb")
"""Fields of the recipe; the library of each has the same name."""


def trackers_of(recipe: TrainRecipe) -> list[str]:
    return [name for name in TRACKERS if getattr(recipe, name)]


def require_trackers(recipe: TrainRecipe, env: Env) -> None:
    """Raises: EnvironmentMissing now, not after the first step."""
    for name in trackers_of(recipe):
        missing = missing_modules(env.python, (name,))
        if missing:
            raise EnvironmentMissing(
                f"--{name} needs {name}: {env.python} {missing}",
                hint=f"{env.python} -m pip install {name}",
            )
