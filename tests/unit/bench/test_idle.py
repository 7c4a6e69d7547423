"""Options without an effect are refused, where somebody asked for them."""

from __future__ import annotations

import pytest

from llmops_cli.bench.idle import NEEDS, check_idle
from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.core.errors import UsageError
from llmops_cli.core.resolve import resolve

IDLE = {
    "trace-output": ("output_tokens", {"trace": "t", "output_tokens": "33"}),
    "trace-input": ("input_tokens", {"trace": "t", "input_tokens": "7"}),
    "trace-usual-input": ("input_tokens", {"trace": "t", "input_tokens": "64"}),
    "trace-arrival": ("arrival", {"trace": "t", "arrival": "gamma"}),
    "trace-prefix": ("shared_prefix_tokens", {"trace": "t", "shared_prefix_tokens": "7"}),
    "trace-turns": ("turns", {"trace": "t", "turns": "2"}),
    "trace-think": ("think_time_s", {"trace": "t", "think_time_s": "2"}),
    "streams-arrival": ("arrival", {"concurrency": "4", "arrival": "gamma"}),
    "usual-streams-arrival": ("arrival", {"arrival": "constant"}),
    "streams-in-flight": ("max_in_flight", {"concurrency": "2,4", "max_in_flight": "4"}),
    "usual-streams-in-flight": ("max_in_flight", {"max_in_flight": "16"}),
    "burst-in-flight": ("max_in_flight", {"burst": "4", "max_in_flight": "5"}),
    "streams-burstiness": ("burstiness", {"concurrency": "2", "burstiness": "0.3"}),
    "burst-arrival": ("arrival", {"burst": "4", "arrival": "constant"}),
    "poisson": ("burstiness", {"rate": "4", "arrival": "poisson", "burstiness": "0.5"}),
    "constant": ("burstiness", {"rate": "4", "arrival": "constant", "burstiness": "0.5"}),
    "no-trace": ("time_scale", {"concurrency": "4", "time_scale": "2"}),
    "one-turn": ("think_time_s", {"think_time_s": "5"}),
    "dataset-one-turn": ("think_time_s", {"dataset": "d", "turns": "1", "think_time_s": "5"}),
    "no-prefix": ("shared_prefix_share", {"shared_prefix_share": "0.2"}),
    "dataset-prefix": ("shared_prefix_tokens", {"dataset": "d", "shared_prefix_tokens": "9"}),
    "dataset-input": ("input_tokens", {"dataset": "d", "input_tokens": "9"}),
    "vectors-output": ("output_tokens", {"api": "embeddings", "output_tokens": "5"}),
    "vectors-think": ("think_time_s", {"api": "embeddings", "think_time_s": "5"}),
    "body-output": ("output_tokens", {"body": {"max_tokens": 3}, "output_tokens": "5"}),
    "burst-requests": ("requests", {"burst": "4", "requests": "9"}),
    "steps-duration": ("duration_s", {"steps": "2x3", "duration_s": "9"}),
}
USED = {
    "rate": {"rate": "4", "arrival": "gamma", "burstiness": "0.5"},
    "shape-alone": {"rate": "4", "burstiness": "0.5"},
    "streams-held-back": {"concurrency": "2,4", "max_in_flight": "3"},
    "rate-held-back": {"rate": "4", "max_in_flight": "300"},
    "search-held-back": {"search": "true", "max_in_flight": "300"},
    "ramp": {"ramp": "1-4", "arrival": "constant", "duration_s": "9"},
    "search": {"search": "true", "arrival": "constant"},
    "trace": {"trace": "t", "time_scale": "2", "requests": "9"},
    "turns": {"turns": "2", "think_time_s": "2", "output_tokens": "5"},
    "dataset": {"dataset": "d", "think_time_s": "2", "output_tokens": "5"},
    "prefix": {"shared_prefix_tokens": "5", "shared_prefix_share": "0.5"},
    "vectors": {"api": "embeddings", "input_tokens": "5"},
}


def check(**sources: object) -> None:
    found = resolve(BenchRecipe, command="bench", **sources)  # type: ignore[arg-type]
    check_idle(found.recipe, found.origins)


@pytest.mark.parametrize("name", IDLE)
@pytest.mark.parametrize("source", ["flags", "file"])
def test_an_option_without_effect_is_refused_by_its_name(name: str, source: str) -> None:
    option, values = IDLE[name]
    flag = option.replace("_", "-")
    with pytest.raises(UsageError, match=f"--{flag} has no effect"):
        check(**{source: values})


def test_every_row_of_the_table_has_a_case() -> None:
    assert {need.option for need in NEEDS} <= {option for option, _ in IDLE.values()}


@pytest.mark.parametrize("name", USED)
def test_an_option_with_an_effect_is_taken(name: str) -> None:
    check(flags=USED[name])


@pytest.mark.parametrize("name", IDLE)
def test_a_saved_report_runs_again(name: str) -> None:
    _, values = IDLE[name]
    check(file=values, saved_defaults=())


def test_a_flag_overrides_what_the_file_and_the_environment_say() -> None:
    file = {"rate": 4, "arrival": "gamma", "output_tokens": 5}
    check(file=file, flags={"trace": "t"})
    check(environ={"LLMOPS_BENCH_OUTPUT_TOKENS": "5"}, flags={"trace": "t"})
    both = {"LLMOPS_BENCH_OUTPUT_TOKENS": "5", "LLMOPS_BENCH_TRACE": "t"}
    with pytest.raises(UsageError, match="--output-tokens"):
        check(environ=both)
