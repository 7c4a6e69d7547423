"""What `llmops prompt optimize` asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.fields import FiniteAmount, Flag, Natural, Positive, PositiveNumber
from llmops_cli.core.grammar import read_pairs
from llmops_cli.core.resolve import Origins, Values
from llmops_cli.core.urls import server_url, settle_server
from llmops_cli.prompt.evals.recipe import EvalRecipe

MAY_CHANGE = (
    "budget_calls",
    "token_budget",
    "money_budget",
    "concurrency",
    "rate",
    "retries",
    "timeout_s",
)
"""What may be said beside --resume: how far a search goes, and nothing of its way."""
PROPOSER_FIELDS = ("proposer_url", "proposer_key_env")
PROPOSER_PRICES = ("proposer_price_in", "proposer_price_out")
OpenShare = Annotated[float, msgspec.Meta(gt=0, lt=1)]


class OptimizeRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One prompt, one model, cases with assertions, and what may be spent on a better prompt.

    What neither trains nor validates is the test split.
    """

    cases: Annotated[
        str, Flag(help="promptfoo's YAML or JSON, CSV with __expected, or JSONL.", argument=True)
    ] = ""
    prompt: Annotated[
        str | None,
        Flag(help="The prompt to begin with: a file, a name or a text.", default="the file's only"),
    ] = None
    budget_calls: Annotated[
        Positive | None, Flag(help="Requests at most, retries and the test included.")
    ] = None
    instruction: Annotated[
        list[str],
        Flag(help="A wording to try before the built-in ones. May be repeated.", repeat=True),
    ] = []
    most_examples: Annotated[Natural, Flag(help="Worked examples that a prompt may have.")] = 4
    model: Annotated[str | None, Flag(help="The model.", default="the server's first")] = None
    url: Annotated[str | None, Flag(help="An OpenAI-style server that already runs.")] = None
    backend: Annotated[
        str, Flag(help="An engine of `llmops engines`.", default="llamacpp, remote with --url")
    ] = "llamacpp"
    train_share: Annotated[OpenShare, Flag(help="Of the cases, what proposals are tried on.")] = 0.4
    validation_share: Annotated[
        OpenShare, Flag(help="Of the cases, what the best of a round must be better on.")
    ] = 0.2
    concurrency: Annotated[Positive, Flag(help="Requests in flight.")] = 16
    max_tokens: Annotated[
        Positive | None, Flag(help="Of an answer.", default="the prompt's own, or 1024")
    ] = None
    temperature: Annotated[
        FiniteAmount | None, Flag(help="Of sampling.", default="the prompt's own, or 0")
    ] = None
    seed: Annotated[int, Flag(help="Of requests, and of the order of proposals.")] = 0
    rate: Annotated[PositiveNumber | None, Flag(help="Requests a second at most.")] = None
    retries: Annotated[Natural, Flag(help="Of a request, with growing pauses.")] = 3
    timeout_s: Annotated[PositiveNumber, Flag(help="Of a request.")] = 120.0
    token_budget: Annotated[Positive | None, Flag(help="Tokens at most, never passed.")] = None
    money_budget: Annotated[
        PositiveNumber | None,
        Flag(help="The same in money; needs prices. A model without any is free beside another."),
    ] = None
    price_in: Annotated[FiniteAmount, Flag(help="Of a million input tokens.")] = 0.0
    price_out: Annotated[FiniteAmount, Flag(help="Of a million output tokens.")] = 0.0
    api_key_env: Annotated[str, Flag(help="The variable that holds the model's API key.")] = (
        "LLMOPS_API_KEY"
    )
    proposer: Annotated[
        str | None,
        Flag(help="A capable model that writes instructions, by gepa.", default="none is needed"),
    ] = None
    proposer_url: Annotated[
        str | None, Flag(help="Where the proposer answers.", default="--url")
    ] = None
    proposer_key_env: Annotated[
        str | None,
        Flag(
            help="The variable that holds its API key.", default="the model's at --url, else none"
        ),
    ] = None
    proposer_price_in: Annotated[FiniteAmount, Flag(help="Of a million of its input tokens.")] = 0.0
    proposer_price_out: Annotated[FiniteAmount, Flag(help="Of a million of its output tokens.")] = (
        0.0
    )
    proposer_tokens: Annotated[Positive, Flag(help="Of one of its answers at most.")] = 4096
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
        """A URL's own backend, and no secrets in it."""
        if not values.get("cases"):
            raise UsageError("no file of cases", hint="llmops prompt optimize CASES.yaml")
        if not values.get("budget_calls"):
            raise UsageError("nothing says what may be spent", hint="--budget-calls 500")
        settle_server(values, origins)
        _settle_proposer(values)

    @property
    def path(self) -> Path:
        return Path(self.cases)

    @property
    def calls(self) -> int:
        return self.budget_calls or 0

    @property
    def proposer_place(self) -> str:
        """The URL of whoever writes instructions; empty where nobody does."""
        if self.proposer is None:
            return ""
        return self.proposer_url or self.url or ""

    @property
    def proposer_is_paid(self) -> bool:
        """Whether money is spent on it."""
        return bool(self.proposer and (self.proposer_price_in or self.proposer_price_out))

    @property
    def proposer_key_variable(self) -> str | None:
        """A key goes to the server that it is for, and to no other."""
        if self.proposer_key_env or self.proposer_url:
            return self.proposer_key_env
        return self.api_key_env

    def as_eval(self) -> EvalRecipe:
        """The same prompt and model as a measurement: how every answer here is had."""
        shared = set(EvalRecipe.__struct_fields__) - {"prompt", "model"}
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if name in shared}
        return EvalRecipe(
            **fields,
            prompt=[self.prompt] if self.prompt else [],
            model=[self.model] if self.model else [],
        )


def _settle_proposer(values: Values) -> None:
    if not values.get("proposer"):
        given = [name for name in PROPOSER_FIELDS if values.get(name)]
        if given:
            flag = given[0].replace("_", "-")
            raise UsageError(f"--{flag} says nothing without --proposer", hint="--proposer MODEL")
        return
    if not values.get("proposer_url") and not values.get("url"):
        raise UsageError("nothing says where the proposer answers", hint="--proposer-url URL")
    if values.get("proposer_url"):
        server_url(str(values["proposer_url"]), field="proposer_url")
    is_said = any(values.get(name) is not None for name in PROPOSER_PRICES)
    if values.get("money_budget") and not is_said:
        raise UsageError(
            "--money-budget needs the proposer's prices too",
            hint="--proposer-price-in 2 --proposer-price-out 8, or 0 where it is free",
        )
