"""What a batch asks for."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.fields import FiniteAmount, Flag, Natural, Positive, PositiveNumber, Streams
from llmops_cli.core.grammar import read_pairs
from llmops_cli.core.resolve import Origins, Values
from llmops_cli.core.urls import settle_server

ANSWERS = "Answers"
LIMITS = "Limits"


class GenerateRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows to ask, of whom, and within which limits. Prices are money for a million tokens."""

    input: Annotated[
        str | None,
        Flag(
            help="OpenAI batch requests, or rows with messages, prompt or text: JSONL, Parquet.",
            argument=True,
        ),
    ] = None
    url: Annotated[
        str | None, Flag(help="A server that already runs; its first model unless --model.")
    ] = None
    model: Annotated[
        str | None,
        Flag(help="Its name there, or a model to serve.", default="each batch row's own, or demo"),
    ] = None
    backend: Annotated[
        str, Flag(help="An engine of `llmops engines`.", default="llamacpp, remote with --url")
    ] = "llamacpp"
    dialect: Annotated[
        Literal["openai", "anthropic"], Flag(help="openai, or anthropic (/v1/messages).")
    ] = "openai"
    replace_model: Annotated[
        bool, Flag(help="Ask --model also where a batch row names another one.")
    ] = False
    max_tokens: Annotated[
        Positive | None,
        Flag(help="Of an answer; of batch rows without their own limit.", group=ANSWERS),
    ] = None
    temperature: Annotated[
        FiniteAmount | None, Flag(help="Of rows that are no batch rows.", group=ANSWERS)
    ] = None
    seed: Annotated[
        int | None, Flag(help="Each row's own seed is made of it.", default="none", group=ANSWERS)
    ] = None
    system: Annotated[
        str | None, Flag(help="A system prompt before rows that have none.", group=ANSWERS)
    ] = None
    answer_field: Annotated[str, Flag(help="Where an answer stands in its row.", group=ANSWERS)] = (
        "answer"
    )
    concurrency: Annotated[
        Streams | None,
        Flag(help="Requests in flight.", default="64, of an engine 16", group=LIMITS),
    ] = None
    rate: Annotated[
        PositiveNumber | None, Flag(help="Requests a second at most.", group=LIMITS)
    ] = None
    tokens_per_min: Annotated[
        Positive | None, Flag(help="Tokens a minute at most.", group=LIMITS)
    ] = None
    max_requests: Annotated[
        Positive | None, Flag(help="Requests in all, retries included.", group=LIMITS)
    ] = None
    max_total_tokens: Annotated[
        Positive | None, Flag(help="Tokens in all, prompts and answers.", group=LIMITS)
    ] = None
    max_cost: Annotated[
        PositiveNumber | None, Flag(help="Money in all; needs prices.", group=LIMITS)
    ] = None
    price_in: Annotated[FiniteAmount, Flag(help="Of a million input tokens.", group=LIMITS)] = 0.0
    price_out: Annotated[FiniteAmount, Flag(help="Of a million output tokens.", group=LIMITS)] = 0.0
    retries: Annotated[Natural, Flag(help="Of a request, with growing pauses.", group=LIMITS)] = 3
    timeout_s: Annotated[PositiveNumber, Flag(help="Of a request.", group=LIMITS)] = 600.0
    api_key_env: Annotated[str, Flag(help="The variable that holds the API key.")] = (
        "LLMOPS_API_KEY"
    )
    options: Annotated[
        dict[str, str],
        Flag(
            help="An option of the engine, key=value. May be repeated.",
            names=("--set",),
            repeat=True,
            read=read_pairs,
        ),
    ] = {}

    @staticmethod
    def settle(values: Values, origins: Origins) -> None:
        """A URL's own backend. Raises: UsageError for caps that nothing could hold."""
        settle_server(values, origins)
        has_prices = values.get("price_in") or values.get("price_out")
        if values.get("max_cost") and not has_prices:
            raise UsageError(
                "--max-cost needs prices",
                hint="--price-in and --price-out, for a million tokens",
            )
        if values.get("replace_model") and not values.get("model"):
            raise UsageError("--replace-model needs --model", hint="--model NAME")
