"""The models that a plan takes: a name of every other command, and no path for a name."""

from __future__ import annotations

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.models import read_load
from llmops_cli.plan.show import said


def test_the_built_in_model_has_its_name_here_too() -> None:
    load = read_load("demo", scheme=None, cache_type="F16")
    assert load.parameters == 1_435_648


@pytest.mark.parametrize("place", ["./nope", "../nope", "/nope/at/all"])
def test_a_folder_that_is_not_there_is_no_unknown_name(place: str) -> None:
    with pytest.raises(UsageError, match=f"no model at {place}") as told:
        read_load(place, scheme=None, cache_type="F16")
    assert (told.value.hint or "").startswith("a folder with a config.json")


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [(2_871_296, "2.74 MiB"), (16_381_470_720, "15.26 GiB"), (-(2**30), "-1.00 GiB")],
)
def test_a_small_model_has_a_size_too(size_bytes: int, words: str) -> None:
    assert said("weights_bytes", size_bytes) == words
