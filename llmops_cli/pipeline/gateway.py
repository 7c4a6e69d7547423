"""Engines that a gateway's configuration names are started, then the gateway in front of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.serve.door.listener import bind
from llmops_cli.serve.door.server import check_start, serve
from llmops_cli.serve.spec import GatewaySpec
from llmops_cli.serve.state import state_dir

if TYPE_CHECKING:
    from llmops_cli.core.progress import Progress


def run_gateway(
    config: GatewayConfig,
    *,
    file: Path | None,
    host: str,
    port: int,
    workers: int,
    tls: tuple[Path, Path] | None,
    progress: Progress,
) -> None:
    """Serves until it is told to stop. Raises: LlmopsError."""
    launch = GatewaySpec(
        folder=str(state_dir()),
        config=config,
        host=host,
        file=str(file.resolve()) if file else None,
        tls_cert=str(tls[0].resolve()) if tls else None,
        tls_key=str(tls[1].resolve()) if tls else None,
    )
    check_start(launch, progress.say)
    listener = bind(host, port)  # before engines are started, which takes minutes
    with ExitStack() as stack:
        urls = {}
        for name, upstream in config.upstreams.items():
            if upstream.engine is not None:
                urls[name] = stack.enter_context(_engines(name, upstream, progress))
        scheme = "https" if tls else "http"
        places = ", ".join(_addresses(config, urls))
        openness = "" if config.keys_required else "  (no keys)"
        progress.say(f"gateway: {scheme}://{host}:{port}/v1  ->  {places}{openness}")
        launch = msgspec.structs.replace(launch, urls=urls)
        serve(launch, listener, workers=workers, say=progress.say)


def _engines(
    name: str, upstream: UpstreamConfig, progress: Progress
) -> AbstractContextManager[list[str]]:
    """The engines of an upstream, kept running; their logs stay in the state folder."""
    from llmops_cli.serving.replicas import replicas  # what models need is not there otherwise
    from llmops_cli.serving.target import EngineTarget

    assert upstream.engine is not None
    target = EngineTarget(
        backend=upstream.engine,
        model=upstream.model or "demo",
        options=upstream.engine_options(),
    )
    folder = state_dir() / "logs" / name
    return replicas(target, count=upstream.replicas, folder=folder, progress=progress)


def _addresses(config: GatewayConfig, urls: dict[str, list[str]]) -> Iterator[str]:
    for name, upstream in config.upstreams.items():
        if upstream.url:
            yield upstream.url
        else:
            yield from urls[name]
