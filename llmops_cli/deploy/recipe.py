"""What `llmops deploy render` asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from llmops_cli.core.fields import Flag, Positive, PositiveNumber
from llmops_cli.core.grammar import Unreadable

Target = Literal["k8s", "kserve", "compose", "systemd"]
Route = Literal["gateway-api", "ingress", "both", "none"]
LogFormat = Literal["text", "json"]
ReplicaCount = Annotated[int, msgspec.Meta(ge=1, le=64)]


def read_named(texts: str | Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE`, names as they are written. Raises: Unreadable."""
    if isinstance(texts, str):
        texts = texts.split(",")
    table = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise Unreadable(f"{text} is not NAME=VALUE", example="gpu-a=results/bench")
        table[name.strip()] = value.strip()
    return table


class RenderRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A gateway's file, and what only the place where it is to run tells."""

    config: Annotated[
        str | None,
        Flag(help="The gateway's file, as `llmops serve --config` takes it.", argument=True),
    ] = None
    target: Annotated[Target, Flag(help="k8s, kserve, compose or systemd.")] = "k8s"
    name: Annotated[str, Flag(help="What all of it is called.")] = "llmops"
    namespace: Annotated[str, Flag(help="Of the cluster.")] = "llmops"
    registry: Annotated[
        str, Flag(help="Where images of ours are; `llmops deploy image` makes them.")
    ] = "registry.example.com/llmops"
    images: Annotated[
        dict[str, str],
        Flag(
            help="gateway, redis, an engine or an upstream = its image. May be repeated.",
            names=("--image",),
            repeat=True,
            read=read_named,
        ),
    ] = {}
    foreign: Annotated[
        dict[str, str],
        Flag(
            help="An upstream = tgi, sglang or trtllm: rendered too, with its own --image; "
            "untested. May be repeated.",
            repeat=True,
            read=read_named,
        ),
    ] = {}
    models: Annotated[
        str,
        Flag(
            help="Where models are: claim:NAME (a volume), or https://... to download from, or "
            "host:/FOLDER."
        ),
    ] = "claim:models"
    replicas: Annotated[ReplicaCount, Flag(help="Gateways at least.")] = 2
    max_replicas: Annotated[
        ReplicaCount | None,
        Flag(help="Of the gateway and of each engine at most.", default="4 times the least"),
    ] = None
    bench: Annotated[
        dict[str, str],
        Flag(
            help="An upstream = a saved bench run of its engine: load time, what a replica "
            "carries. May be repeated.",
            repeat=True,
            read=read_named,
        ),
    ] = {}
    plan: Annotated[
        dict[str, str],
        Flag(
            help="An upstream = what `llmops plan serve --json` said. May be repeated.",
            repeat=True,
            read=read_named,
        ),
    ] = {}
    nightly: Annotated[
        dict[str, str],
        Flag(
            help="A model of the gateway = a time, UTC (assistant=03:30): a bench then and a red "
            "team an hour later, each night. May be repeated.",
            repeat=True,
            read=read_named,
        ),
    ] = {}
    gpu_resource: Annotated[str, Flag(help="What the cluster calls a card.")] = "nvidia.com/gpu"
    gpus_per_node: Annotated[Positive, Flag(help="Cards of a machine.")] = 8
    host: Annotated[str, Flag(help="The name that clients ask for.")] = "llm.example.com"
    route: Annotated[
        Route, Flag(help="Which way in is applied: gateway-api, ingress, both, none.")
    ] = "gateway-api"
    log_format: Annotated[
        LogFormat, Flag(help="What processes of ours say: words, or JSON a line.")
    ] = "text"
    prometheus: Annotated[str, Flag(help="Where KEDA asks for queues.")] = (
        "http://prometheus.monitoring.svc:9090"
    )
    slo_errors: Annotated[
        PositiveNumber, Flag(help="Percent of requests that may fail in 30 days.")
    ] = 1.0
    slo_ttft_s: Annotated[PositiveNumber, Flag(help="TTFT p95 that is told.")] = 5.0
    slo_tpot_s: Annotated[PositiveNumber, Flag(help="Time per token, p95, that is told.")] = 0.25
    slo_e2e_s: Annotated[PositiveNumber, Flag(help="Whole request, p95, that is told.")] = 60.0
    budget_dollars: Annotated[
        PositiveNumber | None,
        Flag(help="A month, for all keys together: its burn is told.", default="no such alert"),
    ] = None
