"""What a load test asks for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.fields import (
    Flag,
    Natural,
    NonNegative,
    Positive,
    PositiveNumber,
    Rate,
    Share,
    Streams,
)
from llmops_cli.core.grammar import read_json_pairs, read_pairs
from llmops_cli.core.resolve import Origins, Values
from llmops_cli.core.urls import refuse_secrets, settle_server

LOADS = ("concurrency", "rate", "ramp", "steps", "burst", "trace")


DEFAULT_CONCURRENCY = (1, 4, 16)
LoadProcesses = Annotated[int, msgspec.Meta(ge=1, le=64)]


class BenchRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent, when, and what counts.

    One of LOADS makes the levels and the others stay empty; with none of them they are
    DEFAULT_CONCURRENCY. Grammars: bench.lengths (tokens) and bench.arrivals (ramp, steps).
    """

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
    api: Annotated[
        Literal["chat", "completions", "embeddings"], Flag(help="chat, completions or embeddings.")
    ] = "chat"
    path: Annotated[
        str | None,
        Flag(
            help="Where requests go, with a query; $NAME in it is read from the environment.",
            default="/v1/chat/completions",
        ),
    ] = None
    headers: Annotated[
        list[str],
        Flag(
            help="'Name: value'; $NAME is read from the environment. May be repeated.",
            names=("--header",),
            repeat=True,
        ),
    ] = []
    # Any: fields of the server's own
    body: Annotated[
        dict[str, Any],
        Flag(
            help="A field of each request, key=JSON; null leaves it out. May be repeated.",
            repeat=True,
            read=read_json_pairs,
        ),
    ] = {}
    api_key_env: Annotated[str, Flag(help="The variable that holds the API key.")] = (
        "LLMOPS_API_KEY"
    )
    proxy: Annotated[
        str | None,
        Flag(help="An HTTP proxy. Without it none is used, whatever the environment says."),
    ] = None
    insecure: Annotated[bool, Flag(help="Accept any TLS certificate.")] = False

    concurrency: Annotated[
        list[Streams], Flag(help="Streams at once, one level each.", default="1,4,16")
    ] = []
    rate: Annotated[
        list[Rate],
        Flag(help="Requests per second, one level each; sent whether or not answers come."),
    ] = []
    ramp: Annotated[
        str | None, Flag(help="From one rate to another: 1-20, over --duration-s.", default="60 s")
    ] = None
    steps: Annotated[list[str], Flag(help="Rates, each held for some seconds: 2x30,5x30.")] = []
    burst: Annotated[Positive | None, Flag(help="This many requests, all at once.")] = None
    trace: Annotated[
        str | None, Flag(help="Replay a trace: Mooncake JSONL, Azure or BurstGPT CSV.")
    ] = None
    time_scale: Annotated[PositiveNumber, Flag(help="Replay the trace this much faster.")] = 1.0
    arrival: Annotated[
        Literal["poisson", "constant", "gamma"], Flag(help="poisson, constant or gamma, for rates.")
    ] = "poisson"
    burstiness: Annotated[
        PositiveNumber, Flag(help="Shape of gamma arrivals; under 1 is burstier.")
    ] = 1.0
    max_in_flight: Annotated[
        Positive | None,
        Flag(help="Hold requests back beyond this; the wait counts.", default="none"),
    ] = None

    requests: Annotated[
        Positive | None,
        Flag(
            help="Requests (conversations) per level.", default="5 x streams, at least 50 and 3 s"
        ),
    ] = None
    duration_s: Annotated[
        PositiveNumber | None,
        Flag(help="Seconds per level.", default="30 for a rate, or as long as 50 requests take"),
    ] = None
    warmup: Annotated[Natural, Flag(help="Requests before the first level, not measured.")] = 4
    repeats: Annotated[Positive, Flag(help="Repetitions of each level.")] = 1

    dataset: Annotated[
        str, Flag(help="builtin, or a file: text, JSONL, CSV, Parquet, ShareGPT JSON.")
    ] = "synthetic"
    input_tokens: Annotated[
        int | str,
        Flag(
            help=(
                "Prompt length: 512, uniform:1-9, normal:512,128, lognormal:512,.6, "
                "zipf:1.2,32-4096."
            )
        ),
    ] = 64
    output_tokens: Annotated[int | str, Flag(help="Answer length, likewise.")] = 64
    texts_per_request: Annotated[
        Positive, Flag(help="Texts of one request, for --api embeddings.")
    ] = 1
    shared_prefix_tokens: Annotated[Natural, Flag(help="Beginning that prompts share.")] = 0
    shared_prefix_share: Annotated[Share, Flag(help="Share of the prompts that have it.")] = 1.0
    turns: Annotated[
        Positive | None,
        Flag(help="User turns of a conversation.", default="1, or all in the dataset"),
    ] = None
    think_time_s: Annotated[NonNegative, Flag(help="Pause before a follow-up turn.")] = 0.0
    warm_cache: Annotated[
        bool,
        Flag(
            help="Send the same prompts as the last run; otherwise no run's cache helps the next."
        ),
    ] = False

    slo: Annotated[
        str | None, Flag(help="Objectives: ttft_p95=200ms,tpot_p95=50ms,error_rate=1%.")
    ] = None
    max_error_rate: Annotated[
        Share | None,
        Flag(help="A level with a larger share of failed requests is INVALID.", default="none"),
    ] = None
    abort_after: Annotated[
        Positive | None,
        Flag(help="Break the run off at this many failed requests of a level.", default="none"),
    ] = None
    search: Annotated[bool, Flag(help="Find the highest rate that meets --slo.")] = False
    usd_per_hour: Annotated[
        PositiveNumber | None,
        Flag(
            help="What all that serves costs, US dollars an hour: cost stands beside speed.",
            names=("--gpu-hour",),
        ),
    ] = None
    workers: Annotated[LoadProcesses | None, Flag(help="Load processes.", default="by need")] = None
    records: Annotated[
        Literal["csv", "parquet"], Flag(help="csv or parquet, for the per-request table.")
    ] = "csv"
    allow_invalid: Annotated[bool, Flag(help="Exit 0 even if the numbers can't be trusted.")] = (
        False
    )
    seed: Annotated[int, Flag(help="The same seed sends the same requests at the same times.")] = 0
    timeout_s: Annotated[PositiveNumber, Flag(help="Longest time for one request.")] = 300.0
    options: Annotated[
        dict[str, str],
        Flag(
            help="An option of one engine, key=value. May be repeated.",
            names=("--set",),
            repeat=True,
            read=read_pairs,
        ),
    ] = {}

    @staticmethod
    def settle(values: Values, origins: Origins) -> None:
        """One kind of load, and a URL's own backend."""
        _keep_nearest_load(values, origins)
        settle_server(values, origins)
        _check_path(values.get("path"))
        proxy = values.get("proxy")
        if proxy:
            refuse_secrets(str(proxy), field="proxy")


def _check_path(path: object) -> None:
    """Raises: UsageError for one that is no path, or has a secret in its query."""
    if not path:
        return
    text = str(path)
    refuse_secrets(text, field="path")
    if not text.startswith("/") or not text.isascii() or any(map(str.isspace, text)):
        raise UsageError(f"--path '{text}' is no path", hint="--path /v1/chat/completions")


def _keep_nearest_load(values: Values, origins: Origins) -> None:
    """A load on the command line replaces another kind of load in the environment or the file."""
    for origin in ("flag", "env"):
        asked = [name for name in LOADS if origins[name] == origin]
        if asked:
            for name in LOADS:
                if origins[name] != origin:
                    values.pop(name, None)
                    origins[name] = "default"
            return
