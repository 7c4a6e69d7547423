"""`llmops serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from llmops_cli.gateway_file.config import GatewayConfig


def register(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    model: str = typer.Argument(
        None, help="A folder, a .gguf file, a hub name, or demo.  [default: demo]"
    ),
    backend: str = typer.Option(
        None, help="The engine that is started for it.  [default: llamacpp]"
    ),
    replicas: int = typer.Option(None, min=1, max=64, help="So many of it.  [default: 1]"),
    upstream: str = typer.Option(
        None, help="Front this endpoint instead: http://127.0.0.1:9000/v1"
    ),
    config: Path = typer.Option(
        None, help="A YAML file instead of all that: upstreams, models, limits."
    ),
    check: bool = typer.Option(None, "--check", help="Read the file, say what is wrong, and end."),
    host: str = typer.Option("127.0.0.1", help="Wider addresses need a key to exist."),
    port: int = typer.Option(8080, min=1, max=65535, help="Where to listen."),
    workers: int = typer.Option(
        1, min=1, max=64, help="Processes that serve; they share keys, limits and caches."
    ),
    keys: bool = typer.Option(
        None, "--keys/--no-keys", help="Ask for a key; without only on 127.0.0.1."
    ),
    guard: str = typer.Option(None, help="Judge prompts and answers: default, or a policy file."),
    cache: bool = typer.Option(
        None, "--cache", help="Give the same answer to the same request of a key, for an hour."
    ),
    redis: str = typer.Option(
        None, help="Share limits, budgets and cache with other gateways: redis://HOST:6379/0"
    ),
    audit: bool = typer.Option(
        None, "--audit/--no-audit", help="A line a request in LLMOPS_STATE_DIR/audit.jsonl."
    ),
    upstream_key_env: str = typer.Option(
        None, help="The variable that holds the upstream's own key."
    ),
    tls_cert: Path = typer.Option(None, help="PEM certificate; serves HTTPS."),
    tls_key: Path = typer.Option(None, help="Its private key."),
    set_: list[str] = typer.Option(
        None, "--set", help="key=value for the engine. May be repeated."
    ),
) -> None:
    """A gateway in front of an endpoint or an engine: keys, limits, guard, metrics, audit."""
    from llmops_cli.cli.screen import Progress, say
    from llmops_cli.core.errors import EnvironmentMissing, UsageError
    from llmops_cli.core.grammar import read_pairs
    from llmops_cli.gateway_file.read import load_config

    alone = {
        "MODEL": model,
        "--backend": backend,
        "--replicas": replicas,
        "--upstream": upstream,
        "--keys": keys,
        "--guard": guard,
        "--cache": cache,
        "--redis": redis,
        "--audit": audit,
        "--set": set_,
        "--upstream-key-env": upstream_key_env,
    }
    if config and (given := [name for name, value in alone.items() if value]):
        raise UsageError(f"{given[0]} stands in the file when there is --config")
    if check and not config:
        raise UsageError("--check needs a --config")
    if bool(tls_cert) != bool(tls_key):
        raise UsageError("--tls-cert and --tls-key go together")
    for file in (tls_cert, tls_key):
        if file and not file.is_file():
            raise EnvironmentMissing(f"no file at {file}")
    found = (
        load_config(config)
        if config
        else _from_flags(
            model,
            backend,
            replicas,
            upstream,
            upstream_key_env,
            read_pairs(set_ or []),
            keys=keys is not False,
            guard=guard,
            cache=bool(cache),
            redis=redis,
            audit=audit is not False,
        )
    )
    if check:
        models = len(found.models) or "all their"
        say(f"{config} is fine: {len(found.upstreams)} upstreams, {models} models")
        return
    from llmops_cli.pipeline.gateway import run_gateway

    with Progress() as progress:
        run_gateway(
            found,
            file=config,
            host=host,
            port=port,
            workers=workers,
            tls=(tls_cert, tls_key) if tls_cert else None,
            progress=progress,
        )


def _from_flags(
    model: str | None,
    backend: str | None,
    replicas: int | None,
    upstream: str | None,
    key_env: str | None,
    options: dict[str, str],
    *,
    keys: bool,
    guard: str | None,
    cache: bool,
    redis: str | None,
    audit: bool,
) -> GatewayConfig:
    import os

    from llmops_cli.core.errors import EnvironmentMissing, UsageError
    from llmops_cli.gateway_file.check import bad_url
    from llmops_cli.gateway_file.config import AuditConfig, GatewayConfig, RedisConfig
    from llmops_cli.gateway_file.model import CacheConfig
    from llmops_cli.gateway_file.upstream import UpstreamConfig
    from llmops_cli.guard.policy import load_policy

    if upstream and (model or backend or replicas):
        raise UsageError(
            "--upstream fronts what runs already, without MODEL, --backend or --replicas"
        )
    if upstream and (said := bad_url(upstream)):
        raise UsageError(f"--upstream {said}", hint="http://127.0.0.1:9000/v1")
    if key_env and not os.environ.get(key_env, "").strip():
        raise EnvironmentMissing(f"the environment variable {key_env} is not set")
    if guard and guard != "default":
        load_policy(Path(guard))
    one = (
        UpstreamConfig(url=upstream, key_env=key_env)
        if upstream
        else UpstreamConfig(
            engine=backend or "llamacpp",
            model=model or "demo",
            replicas=replicas or 1,
            options=dict(options),
        )
    )
    return GatewayConfig(
        upstreams={"upstream" if upstream else "engine": one},
        keys_required=keys,
        audit=AuditConfig(on=audit),
        guard=str(Path(guard).resolve()) if guard and guard != "default" else guard,
        cache=CacheConfig() if cache else None,
        redis=RedisConfig(url=redis) if redis else None,
    )
