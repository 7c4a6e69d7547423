"""What a run will do, settled before anything is made or sent: attempts, guard, forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from llmops_cli.core.counted import counted
from llmops_cli.core.errors import UsageError
from llmops_cli.core.prices import Prices
from llmops_cli.guard.check import Guard
from llmops_cli.guard.models import ready_policy
from llmops_cli.guard.policy import DEFAULT
from llmops_cli.redteam.attempts import Attempt, attempts_of
from llmops_cli.redteam.forecast import forecast_of
from llmops_cli.redteam.recipe import RedteamRecipe
from llmops_cli.redteam.suite import Suite, load_suite
from llmops_cli.runtime.chat import ChatEndpoint, chat_endpoint
from llmops_cli.runtime.keys import api_key
from llmops_cli.runtime.outcomes import Budget, SpendForecast

MOST_ROUNDS = 64
"""Of a suite, where the number of attempts is given instead."""
DEFAULT_MODEL = "default"
"""What a helper's model is called unless the user says it; most servers take any name then."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that follows from the recipe alone."""

    suite: Suite
    attempts: list[Attempt]
    guard: Guard | None
    budget: Budget
    forecast: SpendForecast
    key: str
    attacker: ChatEndpoint | None
    judge: ChatEndpoint | None


def plan_of(recipe: RedteamRecipe) -> Plan:
    """All that can be settled without a model or a network.

    Raises: UsageError for what cannot be, such as a forecast beyond the budget; EnvironmentMissing
    for a key that was named and is not there.
    """
    suite, rounds = load_suite(recipe.suite, families=recipe.families)
    most = recipe.max_attempts
    if recipe.target == "guard":
        most = None  # of texts that are tried, not of what they are made of
    if most is not None:
        rounds = MOST_ROUNDS
    attempts = attempts_of(
        suite,
        rounds=rounds,
        seed=recipe.seed,
        most=most,
        twins=recipe.twins,
    )
    prices = Prices(input=recipe.price_in, output=recipe.price_out)
    budget = Budget(tokens=recipe.token_budget, money=recipe.money_budget, prices=prices)
    forecast = forecast_of(
        attempts,
        max_tokens=recipe.max_tokens,
        prices=prices,
        has_attacker=bool(recipe.attacker or recipe.attacker_url),
        has_judge=recipe.judge_url is not None,
    )
    budget.require(forecast)
    attacker = _helper(
        "attacker_url", recipe.attacker_url, recipe.attacker_model, recipe.attacker_key_env
    )
    judge = _helper("judge_url", recipe.judge_url, recipe.judge_model, recipe.judge_key_env)
    return Plan(
        suite=suite,
        attempts=attempts,
        guard=_guard(recipe.guard),
        budget=budget,
        forecast=forecast,
        key=api_key(recipe.api_key_env),
        attacker=attacker,
        judge=judge,
    )


def refuse_idle_attacker(
    recipe: RedteamRecipe,
    origins: Mapping[str, str],
    attempts: Sequence[Attempt],
) -> None:
    """Raises: UsageError for an attacker model on the command line that no attempt would ask.

    One of a recipe, or of a run that goes on, is left alone.
    """
    given = [name for name in ("attacker", "attacker_url") if origins.get(name) == "flag"]
    if not given or any(attempt.search for attempt in attempts):
        return
    hint = "--suite full --families search"
    if recipe.max_attempts is not None:
        hint += f", or more than --max-attempts {recipe.max_attempts}"
    flag = given[0].replace("_", "-")
    raise UsageError(f"--{flag} has no effect: no attempt of this run is a search", hint=hint)


def forecast_line(plan: Plan) -> str:
    """The forecast for people: attempts as the report counts them, without honest questions."""
    forecast = plan.forecast
    honest = sum(attempt.twin for attempt in plan.attempts)
    line = counted(len(plan.attempts) - honest, "attempt")
    if honest:
        line += f" and {counted(honest, 'honest question')}"
    line += f", at most about {forecast.tokens:,} tokens"
    if plan.budget.prices.are_given:
        line += f" and {forecast.money:.2f} in money"
    return line


def _guard(name: str | None) -> Guard | None:
    if not name:
        return None
    policy = DEFAULT
    if name != "default":
        policy = ready_policy(Path(name))
    return Guard(policy)


def _helper(
    field: str,
    url: str | None,
    model: str | None,
    key_env: str | None,
) -> ChatEndpoint | None:
    """A model that helps, with its own key; the target's key is not for it."""
    key = api_key(key_env)
    if url is None:
        return None
    name = model or DEFAULT_MODEL
    return chat_endpoint(url, name, key=key, field=field)
