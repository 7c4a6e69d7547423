"""What a run would pass over is refused before anything is made."""

from __future__ import annotations

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.redteam.plan import forecast_line, plan_of, refuse_idle_attacker
from llmops_cli.redteam.recipe import RedteamRecipe

URL = "http://127.0.0.1:9"


@pytest.mark.parametrize("helper", [{"attacker": "smollm2"}, {"attacker_url": URL}])
def test_an_attacker_that_nobody_asks_is_refused(helper: dict[str, str]) -> None:
    """It was fetched, started and never asked: the quick suite has no search."""
    recipe = RedteamRecipe(**helper)  # type: ignore[arg-type]
    given = dict.fromkeys(helper, "flag")
    attempts = plan_of(recipe).attempts
    with pytest.raises(UsageError, match="has no effect") as told:
        refuse_idle_attacker(recipe, given, attempts)
    assert told.value.hint == "--suite full --families search"
    searching = RedteamRecipe(suite="full", families=["search"], **helper)  # type: ignore[arg-type]
    refuse_idle_attacker(searching, given, plan_of(searching).attempts)


@pytest.mark.parametrize("origin", ["file", "default"])
def test_an_attacker_of_a_recipe_or_of_a_run_that_goes_on_is_left_alone(origin: str) -> None:
    """A run of an older version may have had one, and --resume takes no other flags."""
    recipe = RedteamRecipe(attacker_url=URL)
    refuse_idle_attacker(recipe, {"attacker_url": origin}, plan_of(recipe).attempts)


def test_attempts_are_counted_before_the_run_as_its_report_counts_them() -> None:
    plan = plan_of(RedteamRecipe(max_attempts=40))
    honest = [attempt for attempt in plan.attempts if attempt.twin]
    attacks = len(plan.attempts) - len(honest)
    said = f"{attacks} attempts and {len(honest)} honest questions, at most about "
    assert forecast_line(plan).startswith(said)
    alone = plan_of(RedteamRecipe(max_attempts=1, twins=False))
    assert forecast_line(alone).startswith("1 attempt, at most about ")
