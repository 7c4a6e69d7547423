"""`llmops serve`: what is checked before, then the server in this process or in several."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
from uvicorn.config import LOGGING_CONFIG

from llmops_cli.core.errors import EngineFailed
from llmops_cli.runtime.endings import heard_endings
from llmops_cli.runtime.log_lines import handler_of, is_json, log_everything
from llmops_cli.serve.accounts.keys import KeyStore
from llmops_cli.serve.accounts.redis_link import RedisLink
from llmops_cli.serve.door.certificate import ServedCertificate
from llmops_cli.serve.door.protocol import TimedProtocol
from llmops_cli.serve.door.room import connections_that_fit
from llmops_cli.serve.door.workers import GatewayWorkers
from llmops_cli.serve.gateway import Gateway
from llmops_cli.serve.policy import read_policy
from llmops_cli.serve.prompts.library import read_prompts
from llmops_cli.serve.spec import GatewaySpec, check_bind
from llmops_cli.serve.storage import check_state
from llmops_cli.serve.versions import ConfigVersions
from llmops_cli.serve.watch.aside import SWITCH_S

LOG = logging.getLogger("llmops.gateway")
BACKLOG = 2048
KEEP_ALIVE_S = 75


def check_start(spec: GatewaySpec, say: Callable[[str], None]) -> None:
    """What would end a worker as soon as it begins is said before.

    Raises: UsageError, EnvironmentMissing.
    """
    if spec.config.redis:
        RedisLink(spec.config.redis)
    if spec.config.traces:
        from llmops_cli.serve.watch.traces import Tracer

        Tracer(spec.config.traces).close()
    folder = Path(spec.folder)
    has_key = KeyStore(folder).has_live()
    check_state(folder, spec.config)
    check_bind(spec.host, has_key=has_key, keys_required=spec.config.keys_required)
    if not has_key and spec.config.keys_required:
        say("there is no key yet: llmops keys create --name N")


def serve(
    spec: GatewaySpec,
    listener: socket.socket,
    *,
    workers: int,
    say: Callable[[str], None],
) -> None:
    """Serves until it is told to stop, then lets what is under way end.

    Raises: EngineFailed if it ends by itself.
    """
    beside = Path(spec.file).parent if spec.file else None
    versions = ConfigVersions.beginning(
        spec.config,
        policy=read_policy(spec.config.guard, beside),
        prompts=read_prompts(spec.config, beside),
        seen=spec.stamp,
    )
    if workers > 1:
        GatewayWorkers(spec, versions, listener, workers, say).run()
    elif not serve_here(spec, versions, listener):
        raise EngineFailed("the gateway did not start")


def serve_here(
    spec: GatewaySpec,
    versions: ConfigVersions,
    listener: socket.socket,
) -> bool:
    """Serves in this process. Whether it ever did."""
    _log_to_stderr()
    gateway = Gateway(spec, versions)
    config = uvicorn.Config(
        gateway.app,
        loop="uvloop",
        http=TimedProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None if is_json() else LOGGING_CONFIG,
        log_level="error",
        server_header=False,
        proxy_headers=False,
        date_header=True,
        timeout_graceful_shutdown=math.ceil(spec.config.limits.drain_s),
        backlog=BACKLOG,
        limit_concurrency=connections_that_fit(spec.config.limits.connections),
        ssl_certfile=spec.tls_cert,
        ssl_keyfile=spec.tls_key,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_a_fault)
    config.load()
    if config.ssl is not None and spec.tls_cert and spec.tls_key:
        gateway.certificate = ServedCertificate(config.ssl, spec.tls_cert, spec.tls_key)
    server = _Server(config)
    _collect_rarely()
    sys.setswitchinterval(SWITCH_S)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    return server.started


def _is_a_fault(record: logging.LogRecord) -> bool:
    """Not a request that was cut off at the end: that is told once, and is no traceback each."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError)


class _Server(uvicorn.Server):
    """Signals have done what they should when it has ended.

    uvicorn raises each of them again: a second Ctrl-C was a traceback of whatever ran then. And it
    hears a Ctrl-C that was ignored.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        hears_interrupts = signal.SIGINT in heard_endings()
        with super().capture_signals():
            if not hears_interrupts:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            yield
            self._captured_signals.clear()


def _collect_rarely() -> None:
    """What is there now stays; requests leave few cycles behind, so they are looked for rarely."""
    gc.freeze()
    gc.set_threshold(2_000, 10, 10)


def _log_to_stderr() -> None:
    """Warnings and errors of the gateway, a line each; as JSON those of all libraries, too."""
    if is_json():
        log_everything()
    LOG.handlers = [handler_of(sys.stderr)]
    LOG.propagate = False
    LOG.setLevel(logging.WARNING)
