"""What else differs between two runs: why a comparison may mislead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

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
ENGINE = ("backend", "options")
FEWEST_REPETITIONS = 3
MOST_NAMES = 6
MOST_CHARACTERS = 40


def same_workload(a: SavedRun, b: SavedRun) -> bool:
    """Both sent the same requests at the same times."""
    left = a.report.manifest.recipe
    right = b.report.manifest.recipe
    ours = [left.get(name) for name in WORKLOAD]
    theirs = [right.get(name) for name in WORKLOAD]
    return ours == theirs


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
    ours = {name: left.recipe.get(name) for name in names}
    theirs = {name: right.recipe.get(name) for name in names}
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
