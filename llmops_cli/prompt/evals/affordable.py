"""What a run may spend, and whether that buys a single request."""

from __future__ import annotations

from collections.abc import Iterator

from llmops_cli.core.errors import UsageError
from llmops_cli.core.prices import Prices
from llmops_cli.prompt.case_file.suite import PromptSource
from llmops_cli.prompt.chats import chat_of
from llmops_cli.prompt.evals.answering import asked_fields
from llmops_cli.prompt.evals.plan import EvalPlan, PlannedModel, takes
from llmops_cli.prompt.evals.recipe import EvalRecipe
from llmops_cli.runtime.chat import Cap, ChatCaps, require_one_bought
from llmops_cli.runtime.chat_request import ChatRequest, TokenBound, bound_of

FLAGS = {Cap.TOKENS: "--token-budget", Cap.MONEY: "--money-budget"}


def prices_of(recipe: EvalRecipe) -> Prices:
    """Of the models under test."""
    return Prices(input=recipe.price_in, output=recipe.price_out)


def caps_of(recipe: EvalRecipe) -> ChatCaps:
    """Of the models under test."""
    return ChatCaps(tokens=recipe.token_budget, money=recipe.money_budget)


def require_prices(recipe: EvalRecipe) -> None:
    """Raises: UsageError for a budget of money without them."""
    if recipe.money_budget and not prices_of(recipe).are_given:
        raise UsageError(
            "--money-budget needs prices", hint="--price-in and --price-out, for a million"
        )


def require_affordable(recipe: EvalRecipe, plan: EvalPlan) -> None:
    """Raises: UsageError for a budget that buys no request.

    Answers of a cache cost nothing, so that with one nobody knows.
    """
    caps = caps_of(recipe)
    prices = prices_of(recipe)
    if caps.bind_tokens and not recipe.cache:
        require_one_bought(caps, bounds_of(recipe, plan), prices, flags=FLAGS)


def bounds_of(recipe: EvalRecipe, plan: EvalPlan) -> Iterator[TokenBound]:
    """Of each request of one repeat; none where an answer is given and judged without asking."""
    if any(case.given_answer is not None for case in plan.cases):
        return
    for model in plan.models:
        for prompt in plan.prompts:
            yield from _of_cell(recipe, plan, prompt, model)


def _of_cell(
    recipe: EvalRecipe,
    plan: EvalPlan,
    prompt: PromptSource,
    model: PlannedModel,
) -> Iterator[TokenBound]:
    asked = asked_fields(recipe, {**prompt.settings, **model.settings})
    fields = {**asked, "tools": tuple(asked["tools"] or ()), "stop": tuple(asked["stop"])}
    for case in plan.cases:
        if takes(case, prompt):
            yield bound_of(ChatRequest(messages=chat_of(prompt, case), **fields))
