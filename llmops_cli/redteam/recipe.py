"""What a red-team run asks for."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.fields import FiniteAmount, Flag, Natural, Positive, PositiveNumber
from llmops_cli.core.grammar import read_pairs
from llmops_cli.core.resolve import Origins, Values
from llmops_cli.core.urls import server_url, settle_server

Target = Literal["model", "guard"]
OF_A_MODEL = ("url", "attacker", "attacker_url", "judge_url")
"""What the guard alone has no use for."""
HELPER_URLS = ("attacker_url", "judge_url")


class RedteamRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Attacks on a served model.

    `suite` is quick, full, a plugin's name or a file; `guard` is default or a policy file. Prices
    are money for a million tokens. Each endpoint has its own key:
    `api_key_env` is the target's, and goes to no other host.
    """

    target: Annotated[
        Target,
        Flag(help="model, or guard: a search for texts that the guard itself lets through."),
    ] = "model"
    seeds: Annotated[
        str | None,
        Flag(help="With --target guard: attacks to begin with, JSONL as for guard eval."),
    ] = None
    backend: Annotated[
        str, Flag(help="An engine of `llmops engines`.", default="llamacpp, remote with --url")
    ] = "llamacpp"
    model: Annotated[
        str,
        Flag(help="A folder, a .gguf file, a hub name, demo or smollm2 (`llmops models list`)."),
    ] = "demo"
    url: Annotated[
        str | None,
        Flag(help="An OpenAI-style server that already runs; its first model unless --model."),
    ] = None
    suite: Annotated[str, Flag(help="quick, full, a plugin's name, or a YAML file.")] = "quick"
    families: Annotated[list[str], Flag(help="Only these, with commas.")] = []
    guard: Annotated[
        str | None,
        Flag(help="Judge the same attempts with a guard in front: default, or a policy file."),
    ] = None
    concurrency: Annotated[Positive, Flag(help="Attempts in flight.")] = 16
    max_attempts: Annotated[
        Positive | None,
        Flag(help="Conversations in all, honest ones included.", default="by suite"),
    ] = None
    max_tokens: Annotated[Positive, Flag(help="Of an answer.")] = 128
    temperature: Annotated[FiniteAmount, Flag(help="Of the target's sampling.")] = 0.0
    seed: Annotated[int, Flag(help="The same seed draws the same attempts.")] = 0
    rate: Annotated[PositiveNumber | None, Flag(help="Requests a second at most.")] = None
    retries: Annotated[Natural, Flag(help="Of a request, with growing pauses.")] = 3
    timeout_s: Annotated[PositiveNumber, Flag(help="Of a request.")] = 120.0
    token_budget: Annotated[
        Positive | None,
        Flag(help="Refused before the start if the forecast is higher; enforced after."),
    ] = None
    money_budget: Annotated[
        PositiveNumber | None, Flag(help="The same in money; needs --price-in and --price-out.")
    ] = None
    price_in: Annotated[FiniteAmount, Flag(help="Of a million input tokens.")] = 0.0
    price_out: Annotated[FiniteAmount, Flag(help="Of a million output tokens.")] = 0.0
    twins: Annotated[
        bool,
        Flag(
            help="Honest questions among the attacks.", names=("--twins/--no-twins",), default="yes"
        ),
    ] = True
    attacker: Annotated[
        str | None,
        Flag(help="A model that we serve beside, such as smollm2, proposes messages in searches."),
    ] = None
    attacker_url: Annotated[
        str | None, Flag(help="A model elsewhere that proposes messages in searches (PAIR, TAP).")
    ] = None
    attacker_model: Annotated[str | None, Flag(help="Its name.")] = None
    attacker_key_env: Annotated[
        str | None, Flag(help="The variable that holds its API key.", default="no key")
    ] = None
    judge_url: Annotated[
        str | None, Flag(help="A model whose opinion decides instead of our judges.")
    ] = None
    judge_model: Annotated[str | None, Flag(help="Its name.")] = None
    judge_key_env: Annotated[
        str | None, Flag(help="The variable that holds its API key.", default="no key")
    ] = None
    api_key_env: Annotated[str, Flag(help="The variable that holds the target's API key.")] = (
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
        _settle_target(values)
        settle_server(values, origins)
        if values.get("attacker") and values.get("attacker_url"):
            raise UsageError(
                "--attacker is a model that we serve, --attacker-url one that runs elsewhere",
                hint="give one of them",
            )
        for field in HELPER_URLS:
            url = values.get(field)
            if url:
                server_url(str(url), field=field)
                continue
            helper = field.removesuffix("_url")
            if values.get(f"{helper}_model"):
                raise UsageError(
                    f"--{helper}-model is a model's name at --{helper}-url",
                    hint=f"--{helper}-url http://127.0.0.1:9000",
                )


def _settle_target(values: Values) -> None:
    """Raises: UsageError for options of the other target."""
    if values.get("target") != "guard":
        if values.get("seeds"):
            raise UsageError("--seeds is for --target guard", hint="--suite FILE has own attacks")
        return
    for field in OF_A_MODEL:
        if values.get(field):
            flag = field.replace("_", "-")
            raise UsageError(
                f"--{flag} is of a model; --target guard asks the guard alone",
                hint="leave one of them out",
            )
