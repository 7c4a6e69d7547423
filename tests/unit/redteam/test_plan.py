"""What a run would pass over is refused before anything is made."""

from __future__ import annotations

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.redteam.plan import plan_of
from llmops_cli.redteam.recipe import RedteamRecipe

URL = "http://127.0.0.1:9"


@pytest.mark.parametrize("helper", [{"attacker": "smollm2"}, {"attacker_url": URL}])
def test_an_attacker_that_nobody_asks_is_refused(helper: dict[str, str]) -> None:
    """It was fetched, started and never asked: the quick suite has no search."""
    with pytest.raises(UsageError, match="has no effect") as told:
        plan_of(RedteamRecipe(**helper))  # type: ignore[arg-type]
    assert told.value.hint == "--suite full --families search"
    searching = RedteamRecipe(suite="full", families=["search"], **helper)  # type: ignore[arg-type]
    assert any(attempt.search for attempt in plan_of(searching).attempts)
