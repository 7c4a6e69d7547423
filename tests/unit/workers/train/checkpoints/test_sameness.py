"""A checkpoint goes on in the run it is of, with more steps and in another layout, or is refused
by the names of what differs.
"""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from _shared.protocol import JobError
from tests.train_settings import SETTINGS
from train.checkpoints.sameness import FREE, check_recipe, check_steps, recipe_of
from train.settings import Settings

BASE = Settings(**SETTINGS)


def refusal(**changes: object) -> str:
    asked = recipe_of(replace(BASE, **changes), {})
    with pytest.raises(JobError) as refused:
        check_recipe(recipe_of(BASE, {}), asked, "step-5")
    return refused.value.message


def test_every_free_field_is_one_of_the_settings() -> None:
    assert {field.name for field in fields(Settings)} >= FREE


def test_the_same_recipe_goes_on_on_any_layout_and_for_longer() -> None:
    asked = replace(BASE, strategy="fsdp", steps=900, accumulate=4, keep=9, threads=8)
    check_recipe(recipe_of(BASE, {}), recipe_of(asked, {}), "step-5")


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch_size", 16), ("seed", 4), ("learning_rate", 1.0), ("optimizer", "muon"), ("layers", 9)],
)
def test_what_matters_is_refused_by_its_name(name: str, value: object) -> None:
    message = refusal(**{name: value})
    assert name in message
    assert f"{value} now" in message


def test_all_that_differs_is_named_at_once() -> None:
    message = refusal(batch_size=2, seed=5)
    assert message == "step-5 is of another run: batch_size (8 then, 2 now), seed (0 then, 5 now)"


def test_a_model_that_was_moved_is_the_same_by_its_digest() -> None:
    data = {"model": "sha256:1"}
    there = recipe_of(replace(BASE, model="/a"), data)
    here = recipe_of(replace(BASE, model="/b"), data)
    assert there == here
    with pytest.raises(JobError, match="model"):
        check_recipe(data, {"model": "sha256:2"}, "step-5")


def test_fewer_steps_than_are_done_are_refused() -> None:
    check_steps(5, 5, "step-5")
    with pytest.raises(JobError, match="--steps 4 is less than the 5 steps"):
        check_steps(5, 4, "step-5")
