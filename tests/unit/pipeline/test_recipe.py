"""A recipe of steps is refused before the first minute of work where its figures could mislead."""

from __future__ import annotations

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.pipeline.recipe import EngineEntry, PipelineRecipe, steps_of

URL = "http://127.0.0.1:9"


def test_one_servers_speed_does_not_stand_beside_every_file() -> None:
    recipe = PipelineRecipe(quantize={"scheme": ["F16", "Q8_0"]}, bench={"url": URL})
    with pytest.raises(UsageError, match="beside every quantized file"):
        steps_of(recipe)


def test_a_server_among_engines_has_its_own_entry() -> None:
    there = EngineEntry(name="there", backend="remote", options={"url": URL})
    steps = steps_of(PipelineRecipe(engines=[there], bench={"concurrency": [1]}))
    assert steps.bench is not None
    with pytest.raises(UsageError, match="exclude one another"):
        steps_of(PipelineRecipe(engines=[there], bench={"url": URL}))


def test_an_engines_options_are_checked_before_the_first_engine_runs() -> None:
    bad = EngineEntry(name="x", backend="sim", options={"quueue": "3"})
    with pytest.raises(UsageError, match="unknown engine option"):
        steps_of(PipelineRecipe(engines=[bad], bench={"concurrency": [1]}))


def test_each_steps_recipe_is_checked_as_its_command_would() -> None:
    with pytest.raises(UsageError) as caught:
        steps_of(PipelineRecipe(bench={"concurency": [1]}))
    assert "concurrency" in (caught.value.hint or "")
