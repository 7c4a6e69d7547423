"""Options that none of the techniques of a run takes: whoever gave one is told."""

from __future__ import annotations

from collections.abc import Mapping

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.technique_run.recipe import PromptRunRecipe
from llmops_cli.prompt.techniques.table import TECHNIQUES

CHAINS = ("few-shot", "cot", "self-consistency", "reflect")
"""Those that show examples before the question."""
VOTES = ("self-consistency",)
TREE = ("tree-of-thoughts",)
TAKEN_BY = {
    "examples": CHAINS,
    "shots": (*CHAINS, "auto-cot"),
    "pool": ("auto-cot",),
    "embedding_url": ("auto-cot",),
    "samples": VOTES,
    "stop_rule": VOTES,
    "confidence": VOTES,
    "weights": VOTES,
    "sampling_temperature": (*VOTES, *TREE),
    "search": TREE,
    "breadth": TREE,
    "keep": TREE,
    "depth": TREE,
    "ratings": TREE,
    "rounds": ("reflect",),
    "max_steps": ("react",),
    "evaluator_url": (*TREE, "reflect"),
}
"""Option -> techniques that take it."""


def check_idle(recipe: PromptRunRecipe, origins: Mapping[str, str]) -> None:
    """Raises: UsageError for the first flag that no technique takes.

    What a technique of another package takes is not known: beside one nothing is idle.
    """
    if any(name not in TECHNIQUES for name in recipe.technique):
        return
    for option, takers in TAKEN_BY.items():
        is_given = origins.get(option) == "flag"
        if is_given and not set(takers).intersection(recipe.technique):
            flag = option.replace("_", "-")
            raise UsageError(
                f"--{flag} has no effect: {', '.join(recipe.technique)} takes none",
                hint=f"--technique {' or '.join(takers)}",
            )
