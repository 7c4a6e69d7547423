"""What else differs between two runs: why a comparison may mislead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import msgspec

from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.bench.saved import SavedRun, load_name
from llmops_cli.core.report import Manifest

WORKLOAD = (
    "api",
    "body",
    "concurrency",
    "rate",
    "ramp",
    "steps",
    "burst",
    "trace",
    "time_scale",
    "arrival",
    "burstiness",
    "max_in_flight",
    "requests",
    "duration_s",
    "dataset",
    "input_tokens",
    "output_tokens",
    "texts_per_request",
    "shared_prefix_tokens",
    "shared_prefix_share",
    "turns",
    "think_time_s",
    "warm_cache",
    "warmup",
    "seed",
)
"""Fields of the recipe that make the requests and their times."""
SAME_REQUESTS = (
    "api",
    "body",
    "trace",
    "time_scale",
    "arrival",
    "burstiness",
    "max_in_flight",
    "dataset",
    "input_tokens",
    "output_tokens",
    "texts_per_request",
    "shared_prefix_tokens",
    "shared_prefix_share",
    "turns",
    "think_time_s",
    "warm_cache",
)
"""Those without which two levels of one name are two loads."""
SPACED_LOADS = ("rate", "ramp", "steps")
"""Loads whose requests come at times of an arrival process."""
OPEN_LOADS = (*SPACED_LOADS, "burst", "trace")
ENGINE = ("backend", "options")
FEWEST_REPETITIONS = 3
MOST_NAMES = 6
MOST_CHARACTERS = 40


def same_workload(a: SavedRun, b: SavedRun) -> bool:
    """Both sent the same requests at the same times."""
    ours = said_of(a.report.manifest.recipe, WORKLOAD)
    theirs = said_of(b.report.manifest.recipe, WORKLOAD)
    return ours == theirs


def said_of(recipe: Mapping[str, object], names: Sequence[str]) -> dict[str, object]:
    """What a run's recipe says in these fields, None for one that has no meaning there.

    A report that is older than a field was made with the field's default.
    """
    whole = {**_defaults(), **recipe}
    idle = set(_idle_fields(whole))
    return {name: None if name in idle else whole.get(name) for name in names}


@lru_cache(maxsize=1)
def _defaults() -> dict[str, object]:
    plain = msgspec.to_builtins(BenchRecipe())
    assert isinstance(plain, dict)
    return plain


def _idle_fields(recipe: Mapping[str, object]) -> Iterator[str]:
    """Fields that change no request of this API and load."""
    if recipe["api"] == "embeddings":
        yield "output_tokens"
    else:
        yield "texts_per_request"
    if not recipe["shared_prefix_tokens"]:
        yield "shared_prefix_share"
    if not recipe["trace"]:
        yield "time_scale"
    if not any(recipe[name] for name in SPACED_LOADS):
        yield "arrival"
        yield "burstiness"
    if not any(recipe[name] for name in OPEN_LOADS):
        yield "max_in_flight"


def comparison_warnings(a: SavedRun, b: SavedRun) -> Iterator[str]:
    """A sentence on each."""
    for run in (a, b):
        yield from _weaknesses(run)
    left = a.report.manifest
    right = b.report.manifest
    yield from _manifests_differ(left, right)
    loads_a = {load_name(level) for level in a.report.levels}
    loads_b = {load_name(level) for level in b.report.levels}
    unmatched = sorted(loads_a ^ loads_b)
    if unmatched:
        yield f"only one run has: {', '.join(unmatched)}"
    repetitions = []
    for run in (a, b):
        repetitions += [level.repetitions for level in run.report.levels]
    if min(repetitions, default=0) < FEWEST_REPETITIONS:
        yield (
            "fewer than 3 repetitions: drift between runs is not in the intervals, so there is no "
            "verdict (bench --repeats 3 sees it)"
        )


def _weaknesses(run: SavedRun) -> Iterator[str]:
    if not run.report.manifest.complete:
        yield f"{run.name} is partial"
    for level in run.report.levels:
        for reason in level.invalid_reasons:
            yield f"{run.name} is INVALID at {load_name(level)}: {reason}"
    if run.requests is None:
        yield f"{run.name} has no per-request table: latencies cannot be compared"


def _manifests_differ(left: Manifest, right: Manifest) -> Iterator[str]:
    yield from _unlike("hardware", left.hardware, right.hardware)
    yield from _unlike("version", left.versions, right.versions)
    yield from _unlike_names("workload", WORKLOAD, left, right)
    yield from _unlike_names("engine", ENGINE, left, right)
    model_a = left.recipe.get("model")
    model_b = right.recipe.get("model")
    digest_a = left.digests.get("model")
    digest_b = right.digests.get("model")
    if model_a != model_b or digest_a != digest_b:
        yield f"model differs: {model_a} -> {model_b}"


def _unlike_names(
    kind: str,
    names: Sequence[str],
    left: Manifest,
    right: Manifest,
) -> Iterator[str]:
    ours = said_of(left.recipe, names)
    theirs = said_of(right.recipe, names)
    yield from _unlike(kind, ours, theirs)


def _unlike(
    kind: str,
    left: Mapping[str, object],
    right: Mapping[str, object],
) -> Iterator[str]:
    words = unlike_words(left, right)
    if words:
        yield f"{kind} differs: {words}"


def unlike_words(left: Mapping[str, object], right: Mapping[str, object]) -> str:
    """What has another value, `left -> right`; empty if nothing has."""
    every = {**left, **right}
    names = [name for name in every if left.get(name) != right.get(name)]
    shown = []
    for name in names[:MOST_NAMES]:
        before = _short(left.get(name))
        now = _short(right.get(name))
        shown.append(f"{name} {before} -> {now}")
    text = ", ".join(shown)
    more = len(names) - MOST_NAMES
    if more > 0:
        text += f" and {more} more"
    return text


def _short(value: object) -> str:
    if value in (None, "", [], {}):
        return "none"
    text = str(value)
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[: MOST_CHARACTERS - 3]}..."
