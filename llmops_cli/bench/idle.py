"""Options that would change nothing: which needs which, asked before anything starts.

An option counts as a mistake where its user gave it knowing the rest: one that a nearer source (a
flag over the environment, the environment over a file) makes idle is overridden, as always.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from llmops_cli.bench.plan import EMBEDDINGS
from llmops_cli.bench.recipe import DEFAULT_CONCURRENCY, LOADS, BenchRecipe
from llmops_cli.core.errors import UsageError

NEARNESS = {"file": 1, "env": 2, "flag": 3}
"""A default, or a value of a saved report, is nobody's wish for this run."""
LIMITS = ("max_tokens", "max_completion_tokens")


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """`option` means something where `holds`, which the fields `decided_by` settle."""

    option: str
    holds: Callable[[BenchRecipe], bool]
    decided_by: tuple[str, ...]
    why: str
    hint: str


def check_idle(recipe: BenchRecipe, origins: Mapping[str, str]) -> None:
    """Raises: UsageError for the first option that was given and has no effect."""
    for need in NEEDS:
        if _is_asked(need, origins) and not need.holds(recipe):
            flag = need.option.replace("_", "-")
            raise UsageError(f"--{flag} has no effect: {need.why}", hint=need.hint)
    _check_shape(recipe, origins)


def _check_shape(recipe: BenchRecipe, origins: Mapping[str, str]) -> None:
    """A burstiness alone asks for gamma arrivals; beside another process it is nobody's shape."""
    arrival = _nearness("arrival", origins)
    burstiness = _nearness("burstiness", origins)
    is_other = arrival > 0 and recipe.arrival != "gamma"
    if is_other and burstiness >= arrival:
        raise UsageError(
            f"--burstiness has no effect: {recipe.arrival} arrivals have no shape",
            hint="--arrival gamma",
        )


def _is_asked(need: Need, origins: Mapping[str, str]) -> bool:
    own = _nearness(need.option, origins)
    others = [_nearness(name, origins) for name in need.decided_by]
    return own > 0 and own >= max(others)


def _nearness(name: str, origins: Mapping[str, str]) -> int:
    origin = origins.get(name, "default")
    return NEARNESS.get(origin, 0)


def _has_rates(recipe: BenchRecipe) -> bool:
    return bool(recipe.rate or recipe.ramp or recipe.steps or recipe.search)


def _has_trace(recipe: BenchRecipe) -> bool:
    return recipe.trace is not None


def _is_no_trace(recipe: BenchRecipe) -> bool:
    return recipe.trace is None


def _makes_text(recipe: BenchRecipe) -> bool:
    return recipe.api != EMBEDDINGS


def _draws_prompts(recipe: BenchRecipe) -> bool:
    return recipe.dataset == "synthetic"


def _has_prefix(recipe: BenchRecipe) -> bool:
    return recipe.shared_prefix_tokens > 0


def _has_follow_ups(recipe: BenchRecipe) -> bool:
    """A dataset may hold conversations, unless one turn of each was asked for."""
    turns = recipe.turns
    if turns is not None:
        return turns > 1
    return not _draws_prompts(recipe)


def _bounds_answers(recipe: BenchRecipe) -> bool:
    return not any(name in recipe.body for name in LIMITS)


def _may_be_counted(recipe: BenchRecipe) -> bool:
    return not (recipe.burst or recipe.steps or recipe.ramp)


def _may_be_timed(recipe: BenchRecipe) -> bool:
    return not (recipe.burst or recipe.steps)


def _may_hold_back(recipe: BenchRecipe) -> bool:
    """Streams, and a burst, never have more requests in flight than they are."""
    limit = recipe.max_in_flight
    if limit is None or _has_rates(recipe) or _has_trace(recipe):
        return True
    return limit < (recipe.burst or max(recipe.concurrency or DEFAULT_CONCURRENCY))


RATES = "--rate, --ramp or --steps, or leave it out"
LEAVE_OUT = "leave it out"
NEEDS = (
    Need(
        option="burstiness",
        holds=_has_rates,
        decided_by=(*LOADS, "search"),
        why="only loads with a rate have arrivals",
        hint=RATES,
    ),
    Need(
        option="arrival",
        holds=_has_rates,
        decided_by=(*LOADS, "search"),
        why="only loads with a rate have arrivals",
        hint=RATES,
    ),
    Need(
        option="max_in_flight",
        holds=_may_hold_back,
        decided_by=(*LOADS, "search"),
        why="the load itself has no more requests at once",
        hint="a lower one, or leave it out",
    ),
    Need(
        option="time_scale",
        holds=_has_trace,
        decided_by=LOADS,
        why="only a trace has times to scale",
        hint="--trace FILE, or leave it out",
    ),
    Need(
        option="requests",
        holds=_may_be_counted,
        decided_by=LOADS,
        why="the load itself says how many requests there are",
        hint=LEAVE_OUT,
    ),
    Need(
        option="duration_s",
        holds=_may_be_timed,
        decided_by=LOADS,
        why="the load itself says how long it takes",
        hint=LEAVE_OUT,
    ),
    Need(
        option="input_tokens",
        holds=_is_no_trace,
        decided_by=("trace",),
        why="the requests of a trace have their own lengths",
        hint="leave out --input-tokens",
    ),
    Need(
        option="input_tokens",
        holds=_draws_prompts,
        decided_by=("dataset",),
        why="the prompts of a dataset have their own lengths",
        hint="leave out --input-tokens",
    ),
    Need(
        option="output_tokens",
        holds=_is_no_trace,
        decided_by=("trace",),
        why="the requests of a trace have their own lengths",
        hint="leave out --output-tokens",
    ),
    Need(
        option="output_tokens",
        holds=_makes_text,
        decided_by=("api",),
        why="vectors have no length that is asked for",
        hint="leave out --output-tokens",
    ),
    Need(
        option="output_tokens",
        holds=_bounds_answers,
        decided_by=("body",),
        why="--body sets the longest answer of each request",
        hint="give one of them",
    ),
    Need(
        option="shared_prefix_tokens",
        holds=_is_no_trace,
        decided_by=("trace",),
        why="the requests of a trace have their own beginnings",
        hint=LEAVE_OUT,
    ),
    Need(
        option="shared_prefix_tokens",
        holds=_draws_prompts,
        decided_by=("dataset",),
        why="the prompts of a dataset have their own beginnings",
        hint=LEAVE_OUT,
    ),
    Need(
        option="shared_prefix_share",
        holds=_has_prefix,
        decided_by=("shared_prefix_tokens",),
        why="there is no shared prefix",
        hint="--shared-prefix-tokens 256, or leave it out",
    ),
    Need(
        option="turns",
        holds=_is_no_trace,
        decided_by=("trace",),
        why="a row of a trace is one request",
        hint=LEAVE_OUT,
    ),
    Need(
        option="think_time_s",
        holds=_is_no_trace,
        decided_by=("trace",),
        why="a row of a trace is one request",
        hint=LEAVE_OUT,
    ),
    Need(
        option="think_time_s",
        holds=_makes_text,
        decided_by=("api",),
        why="vectors are no conversation",
        hint=LEAVE_OUT,
    ),
    Need(
        option="think_time_s",
        holds=_has_follow_ups,
        decided_by=("turns", "dataset"),
        why="there is no follow-up turn",
        hint="--turns 4, or leave it out",
    ),
)
