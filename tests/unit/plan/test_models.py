"""The models that a plan takes: a name of every other command, and no path for a name."""

from __future__ import annotations

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.models import read_load


def test_the_built_in_model_has_its_name_here_too() -> None:
    load = read_load("demo", scheme=None, cache_type="F16")
    assert load.parameters == 1_435_648


@pytest.mark.parametrize("place", ["./nope", "../nope", "/nope/at/all"])
def test_a_folder_that_is_not_there_is_no_unknown_name(place: str) -> None:
    with pytest.raises(UsageError, match=f"no model at {place}") as told:
        read_load(place, scheme=None, cache_type="F16")
    assert (told.value.hint or "").startswith("a folder with a config.json")
