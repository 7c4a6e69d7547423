"""`llmops serve`: the gateway in front of an endpoint, or of an engine that it starts."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from llmops_cli.core.errors import EngineFailed, EnvironmentMissing, UsageError
from llmops_cli.guard.check import Guard
from llmops_cli.guard.policy import DEFAULT, load_policy
from llmops_cli.serve.app import Gateway, Rules
from llmops_cli.serve.audit import AuditLog
from llmops_cli.serve.keys import KeyStore
from llmops_cli.serve.metrics import Metrics
from llmops_cli.serve.state import state_dir
from llmops_cli.serve.upstream import Upstream

DRAIN_S = 30


def check_bind(host: str, keys: int, *, keys_required: bool) -> None:
    """Raises: UsageError for an address that others reach without keys in the way."""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local and not keys_required:
        raise UsageError(f"--no-keys at {host} would let everybody in", hint="only on 127.0.0.1")
    if not local and not keys:
        raise UsageError(f"{host} is reached by others, and there is no key", hint="llmops keys create --name N")


def serve(
    url: str, *, host: str, port: int, keys_required: bool, guard: str | None, audit: bool, upstream_key: str | None,
    tls: tuple[Path, Path] | None, say: Callable[[str], None],
) -> None:  # fmt: skip
    """Serves until it is told to stop, then lets what is under way end.

    Raises: UsageError, EnvironmentMissing for a port in use; EngineFailed if it ends by itself.
    """
    import socket

    import uvicorn

    folder = state_dir()
    store = KeyStore(folder)
    check_bind(host, len(store), keys_required=keys_required)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise EnvironmentMissing(
            f"cannot listen at {host}:{port}: {error.strerror}", hint="choose another --port"
        ) from error
    policy = None if guard is None else Guard(DEFAULT if guard == "default" else load_policy(Path(guard)))
    app = Gateway(
        Upstream(url, key=upstream_key), store, rules=Rules(keys_required=keys_required), guard=policy,
        audit=AuditLog(folder / "audit.jsonl" if audit else None), metrics=Metrics(),
    )  # fmt: skip
    say(f"gateway: http{'s' if tls else ''}://{host}:{port}/v1  ->  {url}{'' if keys_required else '  (no keys)'}")
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", ws="none", lifespan="on", access_log=False, log_level="warning",
        server_header=False, proxy_headers=False, date_header=True, timeout_graceful_shutdown=DRAIN_S, backlog=2048,
        h11_max_incomplete_event_size=64 << 10, ssl_certfile=tls[0] if tls else None,
        ssl_keyfile=tls[1] if tls else None,
    )  # fmt: skip
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # uvicorn raises the signal again once it has drained
        server.run(sockets=[listener])
    if not server.started:
        raise EngineFailed("the gateway did not start")
