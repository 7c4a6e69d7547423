"""Engines that a gateway's configuration names are started, then the gateway in front of them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from llmops_cli.core.artifact import name_of_path
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.runtime.own_build import own_build, short_digest
from llmops_cli.runtime.paths import end_of
from llmops_cli.serve.door.listener import bind
from llmops_cli.serve.door.server import check_start, serve
from llmops_cli.serve.spec import GatewaySpec
from llmops_cli.serve.state import state_dir
from llmops_cli.serve.versions import FileStamp

if TYPE_CHECKING:
    from llmops_cli.core.progress import Progress
    from llmops_cli.serving.replicas import StartedEngines


def run_gateway(
    config: GatewayConfig,
    *,
    file: Path | None,
    stamp: FileStamp,
    host: str,
    port: int,
    workers: int,
    tls: tuple[Path, Path] | None,
    progress: Progress,
) -> None:
    """Serves until it is told to stop. Raises: LlmopsError.

    `stamp`: of the file before it was read.
    """
    _survive_signal_to_read()
    spec = _spec(config, host, file, tls)
    spec = msgspec.structs.replace(spec, stamp=stamp)
    check_start(spec, progress.say)
    listener = bind(host, port)  # before engines are started, which takes minutes
    bound_port = listener.getsockname()[1]  # of the system's choice where 0 was asked
    with ExitStack() as stack:
        urls = {}
        digests = {}
        for name, upstream in config.upstreams.items():
            if upstream.engine is None:
                continue
            engines = _engines(name, upstream, progress)
            urls[name], digest = stack.enter_context(engines)
            digests[name] = short_digest(digest)
        places = ", ".join(_addresses(config, urls))
        scheme = "https" if tls else "http"
        openness = "" if config.keys_required else "  (no keys)"
        address = f"{scheme}://{host}:{bound_port}"
        progress.say(f"gateway: {address}/v1  ->  {places}{openness}")
        progress.say(f"models: {', '.join(names_of_models(config))}    dashboard: {address}/ui")
        spec = msgspec.structs.replace(spec, urls=urls, digests=digests)
        serve(spec, listener, workers=workers, say=progress.say)


def _survive_signal_to_read() -> None:
    """Until somebody serves, which may take minutes: a file that has changed is read then."""
    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGHUP, lambda *_: None)


def _spec(
    config: GatewayConfig,
    host: str,
    file: Path | None,
    tls: tuple[Path, Path] | None,
) -> GatewaySpec:
    """Its engines have no addresses yet."""
    cert = None
    key = None
    if tls is not None:
        cert, key = tls
    return GatewaySpec(
        folder=str(state_dir()),
        config=config,
        host=host,
        file=_whole(file),
        tls_cert=_whole(cert),
        tls_key=_whole(key),
        build=own_build(),
    )


def _whole(path: Path | None) -> str | None:
    """A path that means the same in every folder. Kubernetes changes a file by its link."""
    if path is None:
        return None
    return str(path.absolute())


def _engines(
    name: str,
    upstream: UpstreamConfig,
    progress: Progress,
) -> AbstractContextManager[StartedEngines]:
    """The engines of an upstream, kept running; their logs stay in the state folder."""
    from llmops_cli.serving.replicas import replicas  # what models need is not there otherwise
    from llmops_cli.serving.target import EngineTarget

    assert upstream.engine is not None
    target = EngineTarget(
        backend=upstream.engine,
        model=upstream.started_model,
        options=upstream.engine_options(),
    )
    return replicas(
        target,
        count=upstream.replicas,
        folder=state_dir() / "logs" / name,
        progress=progress,
    )


def names_of_models(config: GatewayConfig) -> Iterator[str]:
    """Those that clients may ask for."""
    if config.models:
        yield from config.models
        return
    for name, upstream in config.upstreams.items():
        if upstream.engine is None:
            yield f"those of {name}"
        else:
            model = upstream.started_model
            yield model if name_of_path(model) is None else end_of(model)


def _addresses(
    config: GatewayConfig,
    urls: dict[str, list[str]],
) -> Iterator[str]:
    for name, upstream in config.upstreams.items():
        if upstream.url:
            yield upstream.url
        elif upstream.discover is not None:
            yield upstream.discover.place()
        else:
            yield from urls[name]
