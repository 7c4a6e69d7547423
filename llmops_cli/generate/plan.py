"""Who is asked and with what, settled before anything is sent; and what that would take."""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.prices import Prices
from llmops_cli.core.progress import Progress
from llmops_cli.generate.asking import Asker
from llmops_cli.generate.check import Contents, check_rows, require_file
from llmops_cli.generate.recipe import GenerateRecipe
from llmops_cli.generate.report import Forecast
from llmops_cli.generate.rows import RowFile
from llmops_cli.runtime.chat import (
    CHARS_PER_TOKEN,
    Cap,
    ChatCaps,
    ChatEndpoint,
    require_one_bought,
)
from llmops_cli.runtime.digests import digest_value
from llmops_cli.runtime.keys import target_key

NO_URL = "http://unused"
CAP_FLAGS = {
    Cap.REQUESTS: "--max-requests",
    Cap.TOKENS: "--max-total-tokens",
    Cap.MONEY: "--max-cost",
}
OF_ANSWERS = ("model", "options", "dialect", "answer_field")
"""What of a recipe decides the answers beside the requests; a server may move to another port."""


class BatchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A checked file and how it is asked. `key`: of all that decides the answers."""

    file: RowFile
    contents: Contents
    caps: ChatCaps
    prices: Prices
    key: str


def plan_of(recipe: GenerateRecipe, *, progress: Progress) -> BatchPlan:
    """Raises: UsageError for rows, or caps, that cannot be; EnvironmentMissing for no key."""
    path = source_of(recipe)
    require_file(path)
    file = RowFile(path)
    asker = Asker(recipe, planned_endpoint(recipe))
    contents = check_rows(file, asker, progress=progress)
    caps = ChatCaps(
        requests=recipe.max_requests,
        tokens=recipe.max_total_tokens,
        money=recipe.max_cost,
    )
    if caps.bind_tokens and contents.output_tokens is None:
        raise UsageError(
            "a cap in tokens or money needs a limit for each answer",
            hint="--max-tokens 512, or max_tokens in each batch row",
        )
    require_one_bought(caps, [contents.least], prices_of(recipe), flags=CAP_FLAGS)
    decisive = {name: getattr(recipe, name) for name in OF_ANSWERS}
    return BatchPlan(
        file=file,
        contents=contents,
        caps=caps,
        prices=prices_of(recipe),
        key=digest_value([decisive, contents.digest]),
    )


def source_of(recipe: GenerateRecipe) -> Path:
    """Raises: UsageError if no file is named."""
    if not recipe.input:
        raise UsageError("no rows to ask", hint="llmops generate IN.jsonl -o OUT.jsonl")
    return Path(recipe.input)


def prices_of(recipe: GenerateRecipe) -> Prices:
    return Prices(input=recipe.price_in, output=recipe.price_out)


def planned_endpoint(recipe: GenerateRecipe) -> ChatEndpoint:
    """As if the server ran: only its address may be another one then."""
    return ChatEndpoint(
        url=recipe.url or NO_URL,
        model=recipe.model or "",
        key=target_key(recipe.api_key_env, recipe.url),
        dialect=recipe.dialect,
    )


def forecast_of(recipe: GenerateRecipe, plan: BatchPlan, *, answered_before: int) -> Forecast:
    """Of all rows together."""
    contents = plan.contents
    input_tokens = contents.prompt_bytes // CHARS_PER_TOKEN
    cost = None
    if plan.prices.are_given and contents.output_tokens is not None:
        cost = plan.prices.cost(input_tokens, contents.output_tokens)
    left = contents.rows - answered_before
    return Forecast(
        rows=contents.rows,
        forms=contents.forms,
        answered_before=answered_before,
        input_tokens=input_tokens,
        output_tokens=contents.output_tokens,
        cost=cost,
        duration_s=left / recipe.rate if recipe.rate else None,
    )
