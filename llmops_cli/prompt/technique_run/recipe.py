"""What `llmops prompt run` is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from llmops_cli.core.fields import FiniteAmount, Flag, Natural, Positive, PositiveNumber, Share
from llmops_cli.core.grammar import read_pairs
from llmops_cli.core.resolve import Origins, Values
from llmops_cli.core.urls import server_url, settle_server
from llmops_cli.prompt.values import values_of

StopRule = Literal["beta", "decided", "never"]
Weights = Literal["plain", "weighted"]
Search = Literal["breadth", "depth"]
Dialect = Literal["openai", "anthropic"]

ENDPOINT = "Endpoint"
TECHNIQUE = "Techniques"
TOOLS = "Tools"
LIMITS = "Limits"
DEFAULT_TECHNIQUE = "zero-shot"
HELPER_URLS = ("evaluator_url", "embedding_url")


def read_names(texts: str | Sequence[str]) -> list[str]:
    """Names with commas, or several times."""
    given = [texts] if isinstance(texts, str) else texts
    parts = [part.strip() for text in given for part in text.split(",")]
    return [part for part in parts if part]


class PromptRunRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question, or cases, by each technique in turn.

    Prices are money for a million tokens. Each endpoint has its own key: `api_key_env` is the
    model's, and goes to no other host.
    """

    question: Annotated[str | None, Flag(help="What is asked; or --cases FILE.", argument=True)] = (
        None
    )
    technique: Annotated[
        list[str],
        Flag(
            help="zero-shot, few-shot, cot, auto-cot, self-consistency, react, tree-of-thoughts, "
            "reflect. May be repeated.",
            names=("--technique",),
            repeat=True,
            read=read_names,
            default="zero-shot",
        ),
    ] = []
    cases: Annotated[
        str | None, Flag(help="Questions with answers: JSONL or CSV with question and answer.")
    ] = None
    most_cases: Annotated[
        Positive | None, Flag(help="The first so many of them.", default="all")
    ] = None
    answer: Annotated[
        str,
        Flag(help="How an answer is read: number, letter, text or expression."),
    ] = "number"
    prompt: Annotated[
        str | None,
        Flag(help="A prompt's file or name with {{question}} in it.", default="the question alone"),
    ] = None
    variables: Annotated[
        dict[str, str],
        Flag(
            help="Another variable of the prompt, name=text. May be repeated.",
            names=("--var",),
            repeat=True,
            read=values_of,
        ),
    ] = {}
    backend: Annotated[
        str,
        Flag(
            help="An engine of `llmops engines`.",
            default="llamacpp, remote with --url",
            group=ENDPOINT,
        ),
    ] = "llamacpp"
    model: Annotated[
        str,
        Flag(help="A folder, a .gguf file, a hub name, demo or smollm2.", group=ENDPOINT),
    ] = "demo"
    url: Annotated[
        str | None,
        Flag(help="A server that already runs; its first model unless --model.", group=ENDPOINT),
    ] = None
    dialect: Annotated[Dialect, Flag(help="What the server speaks.", group=ENDPOINT)] = "openai"
    api_key_env: Annotated[
        str, Flag(help="The variable that holds the model's API key.", group=ENDPOINT)
    ] = "LLMOPS_API_KEY"
    max_tokens: Annotated[Positive, Flag(help="Of an answer.", group=ENDPOINT)] = 512
    temperature: Annotated[
        FiniteAmount, Flag(help="Where one answer is asked for.", group=ENDPOINT)
    ] = 0.0
    seed: Annotated[int, Flag(help="Each sample's own seed is made of it.", group=ENDPOINT)] = 0
    options: Annotated[
        dict[str, str],
        Flag(
            help="An option of the engine, key=value. May be repeated.",
            names=("--set",),
            repeat=True,
            read=read_pairs,
            group=ENDPOINT,
        ),
    ] = {}
    examples: Annotated[
        str | None,
        Flag(
            help="For few-shot and cot: JSONL or CSV with question, answer and perhaps reasoning.",
            group=TECHNIQUE,
        ),
    ] = None
    shots: Annotated[
        Positive, Flag(help="Examples that are shown; clusters of auto-cot.", group=TECHNIQUE)
    ] = 4
    pool: Annotated[
        str | None,
        Flag(
            help="Questions of which auto-cot makes its examples.",
            default="those of --cases",
            group=TECHNIQUE,
        ),
    ] = None
    embedding_url: Annotated[
        str | None,
        Flag(
            help="An endpoint whose vectors cluster auto-cot's questions.",
            default="TF-IDF",
            group=TECHNIQUE,
        ),
    ] = None
    embedding_model: Annotated[str | None, Flag(help="Its name.", group=TECHNIQUE)] = None
    samples: Annotated[
        Positive, Flag(help="Self-consistency asks for at most.", group=TECHNIQUE)
    ] = 40
    stop_rule: Annotated[
        StopRule,
        Flag(
            help="When a vote ends: beta (sure enough), decided (nobody can overtake), never.",
            group=TECHNIQUE,
        ),
    ] = "beta"
    confidence: Annotated[
        Share, Flag(help="How sure beta is before it ends a vote.", group=TECHNIQUE)
    ] = 0.95
    weights: Annotated[
        Weights,
        Flag(help="weighted: an answer that was cut or unclear counts half.", group=TECHNIQUE),
    ] = "plain"
    sampling_temperature: Annotated[
        FiniteAmount, Flag(help="Where several samples are asked for.", group=TECHNIQUE)
    ] = 0.7
    search: Annotated[Search, Flag(help="Of tree-of-thoughts.", group=TECHNIQUE)] = "breadth"
    breadth: Annotated[Positive, Flag(help="Next steps that are proposed.", group=TECHNIQUE)] = 5
    keep: Annotated[
        Positive, Flag(help="Partial solutions of a level that are followed.", group=TECHNIQUE)
    ] = 3
    depth: Annotated[Positive, Flag(help="Steps of a solution at most.", group=TECHNIQUE)] = 4
    ratings: Annotated[Positive, Flag(help="Of each partial solution.", group=TECHNIQUE)] = 1
    rounds: Annotated[Positive, Flag(help="Of reflect at most.", group=TECHNIQUE)] = 2
    evaluator_url: Annotated[
        str | None,
        Flag(
            help="A server whose model rates and criticises.", default="the model", group=TECHNIQUE
        ),
    ] = None
    evaluator_model: Annotated[str | None, Flag(help="Its name.", group=TECHNIQUE)] = None
    evaluator_key_env: Annotated[
        str | None,
        Flag(help="The variable that holds its API key.", default="no key", group=TECHNIQUE),
    ] = None
    tools: Annotated[
        list[str],
        Flag(
            help="Of react: calculator, search, lookup, get. May be repeated.",
            names=("--tool",),
            repeat=True,
            read=read_names,
            group=TOOLS,
        ),
    ] = []
    files: Annotated[
        str | None, Flag(help="The folder that search and lookup read.", group=TOOLS)
    ] = None
    allow_host: Annotated[
        list[str],
        Flag(
            help="A host that get may ask. May be repeated.",
            names=("--allow-host",),
            repeat=True,
            read=read_names,
            group=TOOLS,
        ),
    ] = []
    max_steps: Annotated[Positive, Flag(help="Of react, for a question.", group=TOOLS)] = 8
    compress: Annotated[
        Positive | None,
        Flag(
            help="Make prompts smaller, to about so many tokens where that is possible.",
            group=LIMITS,
        ),
    ] = None
    calls_each: Annotated[Positive, Flag(help="Calls for one question at most.", group=LIMITS)] = (
        200
    )
    max_calls: Annotated[
        Positive | None, Flag(help="Of the whole run; never exceeded.", group=LIMITS)
    ] = None
    max_cost: Annotated[
        PositiveNumber | None,
        Flag(help="The same in money; needs --price-in and --price-out.", group=LIMITS),
    ] = None
    price_in: Annotated[FiniteAmount, Flag(help="Of a million input tokens.", group=LIMITS)] = 0.0
    price_out: Annotated[FiniteAmount, Flag(help="Of a million output tokens.", group=LIMITS)] = 0.0
    concurrency: Annotated[Positive, Flag(help="Questions in flight.", group=LIMITS)] = 16
    rate: Annotated[
        PositiveNumber | None, Flag(help="Requests a second at most.", group=LIMITS)
    ] = None
    retries: Annotated[Natural, Flag(help="Of a request, with growing pauses.", group=LIMITS)] = 3
    timeout_s: Annotated[PositiveNumber, Flag(help="Of a request.", group=LIMITS)] = 120.0

    @staticmethod
    def settle(values: Values, origins: Origins) -> None:
        """A URL's own backend, and no secrets in any URL."""
        if not values.get("technique"):
            values["technique"] = [DEFAULT_TECHNIQUE]
        settle_server(values, origins)
        for field in HELPER_URLS:
            url = values.get(field)
            if url:
                server_url(str(url), field=field)
