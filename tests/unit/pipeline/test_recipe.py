"""A recipe of steps is refused before the first minute of work where its figures could mislead."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.pipeline.recipe import EngineEntry, PipelineRecipe, load_recipe, steps_of
from llmops_cli.pipeline.run import row_names
from llmops_cli.quantize.report import QuantizedArtifact

URL = "http://127.0.0.1:9"


def test_one_servers_speed_does_not_stand_beside_every_file() -> None:
    recipe = PipelineRecipe(quantize={"scheme": ["F16", "Q8_0"]}, bench={"url": URL})
    with pytest.raises(UsageError, match="beside every quantized file"):
        steps_of(recipe)


@pytest.mark.parametrize(
    ("bench", "quantize", "hint"),
    [
        ({"backend": "remote", "options": {"url": URL}}, {"scheme": ["F16", "Q8_0"]}, "llamacpp"),
        ({"backend": "sim"}, {"scheme": ["Q8_0"]}, "llamacpp"),
        ({"backend": "transformers"}, {}, "llamacpp"),
        ({}, {"method": "int4"}, "vllm"),
        ({}, {"sweep": ["gguf:Q8_0", "nf4"]}, "no engine serves that"),
    ],
)
def test_an_engine_that_loads_no_such_file_says_nothing_of_it(
    bench: dict[str, object], quantize: dict[str, object], hint: str
) -> None:
    """A server's speed by another name, a simulated one, and an engine of another format."""
    with pytest.raises(UsageError, match="cannot load") as refused:
        steps_of(PipelineRecipe(quantize=quantize, bench=bench))
    assert hint in (refused.value.hint or "")


@pytest.mark.parametrize("backend", ["remote", "sim", "transformers"])
def test_a_type_of_gguf_files_is_of_an_engine_that_serves_them(backend: str) -> None:
    options: dict[str, str | int | float | bool] = {"url": URL} if backend == "remote" else {}
    entry = EngineEntry(name="a", backend=backend, options=options, scheme="Q8_0")
    with pytest.raises(UsageError, match="cannot load Q8_0"):
        steps_of(PipelineRecipe(engines=[entry], bench={"concurrency": [1]}))


def test_two_methods_of_one_scheme_are_two_lines() -> None:
    def made(name: str, scheme: str) -> QuantizedArtifact:
        return QuantizedArtifact(
            path="/m",
            method=name,
            engine="x",
            scheme=scheme,
            format="compressed-tensors",
            name=f"{name}-{scheme}",
            size_bytes=1,
            size_base_bytes=2,
            bits_per_weight=8.0,
        )

    pair = [made("int8", "W8A8"), made("smoothquant", "W8A8"), made("awq", "W4A16")]
    assert row_names(pair) == ["int8-W8A8", "smoothquant-W8A8", "W4A16"]


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


def test_two_engines_of_one_name_would_be_one_line() -> None:
    same = EngineEntry(name="x", backend="sim")
    with pytest.raises(UsageError, match="two engines are named x"):
        steps_of(PipelineRecipe(engines=[same, same], bench={"concurrency": [1]}))


def test_options_may_be_numbers(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("engines: [{name: x, backend: sim, options: {ttft_ms: 3, slots: 2}}]")
    entry = load_recipe(path).engines[0]
    assert entry.engine_options() == {"ttft_ms": "3", "slots": "2"}


@pytest.mark.parametrize("step", ["bench", "quantize"])
def test_a_steps_own_model_is_refused(step: str) -> None:
    recipe = PipelineRecipe(**{step: {"model": "other"}})
    with pytest.raises(UsageError, match="stands at its top"):
        steps_of(recipe)


def test_a_saved_run_is_a_recipe(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text('{"schema": "llmops.run/2", "manifest": {"recipe": {"model": "mine"}}}')
    assert load_recipe(report).model == "mine"
    assert load_recipe(tmp_path).model == "mine"
    report.write_text('{"schema": "llmops.bench/2"}')
    with pytest.raises(UsageError, match="a report of bench"):
        load_recipe(report)


def test_each_steps_recipe_is_checked_as_its_command_would() -> None:
    with pytest.raises(UsageError) as caught:
        steps_of(PipelineRecipe(bench={"concurency": [1]}))
    assert "concurrency" in (caught.value.hint or "")
