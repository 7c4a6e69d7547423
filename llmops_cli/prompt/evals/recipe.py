"""What `llmops prompt eval` asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.fields import FiniteAmount, Flag, Natural, Positive, PositiveNumber
from llmops_cli.core.grammar import read_pairs
from llmops_cli.core.resolve import Origins, Values
from llmops_cli.core.urls import server_url, settle_server

MAY_CHANGE = ("token_budget", "money_budget", "concurrency", "rate", "retries", "timeout_s")
"""What may be said beside --resume: nothing of it decides an answer."""
HELPER_URLS = ("judge_url", "embedding_url")


class EvalRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prompts times models times cases. Prices are money for a million tokens.

    Each endpoint has its own key: `api_key_env` is the models', and goes to no other host.
    """

    cases: Annotated[
        str, Flag(help="promptfoo's YAML or JSON, CSV with __expected, or JSONL.", argument=True)
    ] = ""
    prompt: Annotated[
        list[str],
        Flag(
            help="A prompt's file, name or text. May be repeated.",
            default="those of the file",
            repeat=True,
        ),
    ] = []
    model: Annotated[
        list[str],
        Flag(help="May be repeated.", default="OpenAI's of the file, or the server's", repeat=True),
    ] = []
    url: Annotated[str | None, Flag(help="An OpenAI-style server that already runs.")] = None
    backend: Annotated[
        str, Flag(help="An engine of `llmops engines`.", default="llamacpp, remote with --url")
    ] = "llamacpp"
    repeat: Annotated[Positive, Flag(help="Answers to each case, each with its own seed.")] = 1
    concurrency: Annotated[Positive, Flag(help="Requests in flight.")] = 16
    max_tokens: Annotated[
        Positive | None, Flag(help="Of an answer.", default="the prompt's own, or 1024")
    ] = None
    temperature: Annotated[
        FiniteAmount | None, Flag(help="Of sampling.", default="the prompt's own, or 0")
    ] = None
    seed: Annotated[int, Flag(help="Each answer's own seed is made of it.")] = 0
    rate: Annotated[PositiveNumber | None, Flag(help="Requests a second at most.")] = None
    retries: Annotated[Natural, Flag(help="Of a request, with growing pauses.")] = 3
    timeout_s: Annotated[PositiveNumber, Flag(help="Of a request.")] = 120.0
    token_budget: Annotated[Positive | None, Flag(help="Tokens at most, never passed.")] = None
    money_budget: Annotated[
        PositiveNumber | None, Flag(help="The same in money; needs --price-in and --price-out.")
    ] = None
    price_in: Annotated[FiniteAmount, Flag(help="Of a million input tokens.")] = 0.0
    price_out: Annotated[FiniteAmount, Flag(help="Of a million output tokens.")] = 0.0
    judge_url: Annotated[str | None, Flag(help="Who judges llm-rubric and its kin.")] = None
    judge_model: Annotated[str | None, Flag(help="Its name.")] = None
    judge_key_env: Annotated[
        str | None, Flag(help="The variable that holds its API key.", default="no key")
    ] = None
    embedding_url: Annotated[
        str | None, Flag(help="Who embeds texts for `similar`.", default="--judge-url")
    ] = None
    embedding_model: Annotated[str | None, Flag(help="Its name.")] = None
    embedding_key_env: Annotated[
        str | None, Flag(help="The variable that holds its API key.", default="no key")
    ] = None
    skip_unsupported: Annotated[
        bool, Flag(help="Go without what is not supported here; the report counts it.")
    ] = False
    cache: Annotated[
        str | None, Flag(help="A file of answers, which are not asked for again.", default="none")
    ] = None
    api_key_env: Annotated[str, Flag(help="The variable that holds the models' API key.")] = (
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
        """A URL's own backend, and no secrets in any URL."""
        if not values.get("cases"):
            raise UsageError("no file of cases", hint="llmops prompt eval CASES.yaml")
        settle_server(values, origins)
        for field in HELPER_URLS:
            url = values.get(field)
            if url:
                server_url(str(url), field=field)
        if values.get("judge_model") and not values.get("judge_url"):
            raise UsageError("--judge-model is a model at --judge-url", hint="give both")
        if values.get("embedding_url") and not values.get("embedding_model"):
            raise UsageError("--embedding-url needs a model's name", hint="--embedding-model NAME")

    @property
    def path(self) -> Path:
        return Path(self.cases)
