"""Engines that a gateway's configuration names are started, then the gateway in front of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.serve.door.listener import bind, check_start, serve
from llmops_cli.serve.gateway import GatewaySpec
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
    on_wait: Callable[[float], None],
    say: Callable[[str], None],
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
    check_start(launch, say)
    listener = bind(host, port)  # before engines are started, which takes minutes
    with TemporaryDirectory(prefix="llmops-") as scratch, ExitStack() as stack:
        urls = {}
        for name, upstream in config.upstreams.items():
            if upstream.engine is not None:
                from llmops_cli.serving.replicas import (
                    started,
                )  # what models need is not there for an endpoint

                urls[name] = stack.enter_context(
                    started(
                        upstream.model or "demo",
                        upstream.engine,
                        upstream.engine_options(),
                        Path(scratch) / name,
                        replicas=upstream.replicas,
                        progress=progress,
                        on_wait=on_wait,
                        say=say,
                    )
                )
        shown = ", ".join(
            each
            for name, up in config.upstreams.items()
            for each in ([up.url] if up.url else urls[name])
        )
        shown += "" if config.keys_required else "  (no keys)"
        say(f"gateway: http{'s' if tls else ''}://{host}:{port}/v1  ->  {shown}")
        launch = msgspec.structs.replace(launch, urls=urls)
        serve(launch, listener, workers=workers, say=say)
