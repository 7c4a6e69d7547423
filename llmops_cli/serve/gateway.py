"""Puts a gateway together and keeps it going: one process that serves, what it does each second and
on a reload.
"""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import logging
import signal
import socket
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.core.errors import EngineFailed, LlmopsError, UsageError
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import upstream_of
from llmops_cli.gateway_file.read import load_config
from llmops_cli.serve.accounts.bucket_file import BucketFile, MachineLimiter
from llmops_cli.serve.accounts.budget import Budgets
from llmops_cli.serve.accounts.charge import Limiter
from llmops_cli.serve.accounts.keys import KeyStore
from llmops_cli.serve.accounts.local_budgets import LocalBudgets
from llmops_cli.serve.accounts.redis_budgets import RedisBudgets
from llmops_cli.serve.accounts.redis_limiter import RedisLimiter
from llmops_cli.serve.accounts.redis_link import RedisLink
from llmops_cli.serve.answers.cache import LocalStore, SharedStore, Store
from llmops_cli.serve.answers.flow import Flow
from llmops_cli.serve.door.app import App
from llmops_cli.serve.snapshot import Snapshot
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.watch.audit import AuditLog
from llmops_cli.serve.watch.console import Console
from llmops_cli.serve.watch.metrics import Metrics

LOG = logging.getLogger("llmops.gateway")
DRAIN_S = 30
TICK_S = 1.0
ALERT_LEAST = 20
"""Judged requests in a minute before a block rate says anything."""


class GatewaySpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that a process needs to serve. `urls`: where engines that were started answer, by
    upstream.
    """

    folder: str
    config: GatewayConfig
    host: str = "127.0.0.1"
    file: str | None = None
    urls: dict[str, list[str]] = {}
    tls_cert: str | None = None
    tls_key: str | None = None


class Gateway:
    """One serving process."""

    def __init__(self, launch: GatewaySpec) -> None:
        self._launch = launch
        folder = Path(launch.folder)
        config = launch.config
        self.metrics = Metrics()
        self.store = KeyStore(folder)
        self.canaries = Canaries(folder)
        self._link = RedisLink(config.redis) if config.redis else None
        self._local_budgets = LocalBudgets(folder)
        limiter: Limiter = MachineLimiter(BucketFile(folder))
        budgets: Budgets = self._local_budgets
        answers: Store = LocalStore(folder)
        if self._link is not None:
            limiter = RedisLimiter(self._link, limiter)
            budgets = RedisBudgets(self._link, budgets)
            answers = SharedStore(self._link)
        self._limiter = limiter
        self._folder = folder
        self.flow = Flow(budgets=budgets, store=answers, metrics=self.metrics, meanings=None)
        self.audit = AuditLog(
            folder / "audit.jsonl" if config.audit.on else None, bodies=config.audit.bodies
        )
        self._tracer = _tracer(config.traces)
        self._snapshot = self._new_snapshot(config, None)
        self.app = App(
            self._snapshot,
            self.store,
            flow=self.flow,
            audit=self.audit,
            metrics=self.metrics,
            console=Console(self.metrics, budgets, self.canaries),
            tracer=self._tracer,
            started=self._started,
            stopped=self._stopped,
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self._seen = self._file_state()
        self._judged: deque[tuple[int, int]] = deque([(0, 0)], maxlen=60)
        self._alerted = False

    # -- configuration
    # ---------------------------------------------------------------------------------

    def _new_snapshot(self, config: GatewayConfig, before: Snapshot | None) -> Snapshot:
        self.canaries.configure(config.models)
        if self.flow.meanings is None and _wants_meanings(config):
            from llmops_cli.serve.answers.semantic import Meanings

            self.flow.meanings = Meanings(self._folder)
        beside = Path(self._launch.file).parent if self._launch.file else None
        return Snapshot(
            config,
            urls=self._launch.urls,
            beside=beside,
            limiter=self._limiter,
            canaries=self.canaries,
            metrics=self.metrics,
            before=before,
        )

    def _file_state(self) -> tuple[int, int]:
        if self._launch.file is None:
            return 0, 0
        with suppress(OSError):
            found = Path(self._launch.file).stat()
            return found.st_mtime_ns, found.st_ino
        return 0, 0

    async def reload(self) -> None:
        """The file's configuration from the next request on; one that cannot be used changes
        nothing.
        """
        if self._launch.file is None:
            return
        self._seen = self._file_state()
        try:
            config = load_config(Path(self._launch.file))
            check_bind(self._launch.host, len(self.store), keys_required=config.keys_required)
            fixed = fixed_parts(self._launch.config, config)
            snapshot = self._new_snapshot(config, self._snapshot)
            await self._live_colours(snapshot)
        except LlmopsError as error:
            self.metrics.config_ok.set(0)
            LOG.error("the configuration stays as it was: %s", error.message)
            return
        old = self._snapshot
        self._snapshot = snapshot
        self.app.snapshot = snapshot
        snapshot.watch()
        self._later(old.retire(snapshot))
        self.metrics.config_ok.set(1)
        LOG.warning(
            "the configuration was read anew%s",
            f"; {fixed} change with the next start" if fixed else "",
        )

    async def _live_colours(self, snapshot: Snapshot) -> None:
        """A blue-green switch waits for the new side to answer. Raises: EngineFailed if it does
        not.
        """
        for name, model in snapshot.config.models.items():
            before = self._snapshot.config.models.get(name)
            if model.live is None or before is None or before.live == model.live:
                continue
            group = [
                upstream
                for member in model.members()
                for upstream in snapshot.upstreams[upstream_of(member)]
            ]
            for upstream in group:
                if not upstream.watched:
                    upstream.watch(lambda _: None)
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    for upstream in group:
                        await upstream.checked.wait()
            if not any(upstream.models is not None and upstream.usable() for upstream in group):
                raise EngineFailed(f"model {name}: nothing answers on the side {model.live}")

    # -- life
    # ------------------------------------------------------------------------------------------

    async def _started(self) -> None:
        self._snapshot.watch()
        if self._link is not None:
            self._link.watch()
        self._later(self._ticks())
        with suppress(NotImplementedError, RuntimeError):
            asyncio.get_running_loop().add_signal_handler(
                signal.SIGHUP, lambda: self._later(self.reload())
            )

    def _later(self, work: Any) -> None:  # Any: a coroutine
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stopped(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for upstream in self._snapshot.all():
            await upstream.close()
        self._local_budgets.flush()
        if self._link is not None:
            await self._link.close()
        if self._tracer is not None:
            self._tracer.close()

    async def _ticks(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self._tick()
            except Exception:  # the boundary of a task that must not end
                LOG.exception("housekeeping")

    async def _tick(self) -> None:
        self._local_budgets.flush()
        self.canaries.tick()
        self.audit.look()
        self.metrics.tasks.set(len(asyncio.all_tasks()))
        self.metrics.queued.set(self._snapshot.dispatcher.queues.total())
        if self._link is not None:
            self.metrics.redis_up.set(self._link.up)
        for name, group in self._snapshot.upstreams.items():
            self.metrics.upstream_state(
                name,
                up=any(not each.down for each in group),
                breaker=max((each.breaker.state.badness for each in group), default=0),
                outstanding=sum(each.outstanding for each in group),
            )
        for name in self.canaries.states():
            self.metrics.canary(name, self.canaries.percent(name))
        self._look_at_blocks()
        if self._launch.file is not None and self._file_state() != self._seen:
            await self.reload()

    def _look_at_blocks(self) -> None:
        """An alert where the guard stops more than usual: an attack, or a policy that is too
        strict.
        """
        self._judged.append((self.flow.judged, self.flow.blocked))
        judged, blocked = (
            new - old for new, old in zip(self._judged[-1], self._judged[0], strict=True)
        )
        rate = blocked / judged if judged >= ALERT_LEAST else 0.0
        self.metrics.block_rate.set(rate)
        high = rate > self._snapshot.config.guard_alert
        if high and not self._alerted:
            LOG.error(
                "the guard blocks %.0f %% of the requests (%d of %d in the last minute)",
                rate * 100,
                blocked,
                judged,
            )
        self._alerted = high


def check_bind(host: str, keys: int, *, keys_required: bool) -> None:
    """Raises: UsageError for an address that others reach without keys in the way."""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local and not keys_required:
        raise UsageError(f"--no-keys at {host} would let everybody in", hint="only on 127.0.0.1")
    if not local and not keys:
        raise UsageError(
            f"{host} is reached by others, and there is no key", hint="llmops keys create --name N"
        )


def fixed_parts(before: GatewayConfig, after: GatewayConfig) -> str:
    """What a reload cannot change, by name."""
    names = [
        name
        for name in ("redis", "audit", "traces")
        if getattr(before, name) != getattr(after, name)
    ]
    engines = {
        n: (u.engine, u.model, u.replicas, u.options)
        for n, u in before.upstreams.items()
        if u.engine
    }
    later = {
        n: (u.engine, u.model, u.replicas, u.options)
        for n, u in after.upstreams.items()
        if u.engine
    }
    return ", ".join(names + ["engines"] * (engines != later))


def _tracer(endpoint: str | None) -> Any:  # Any: an optional library's
    if endpoint is None:
        return None
    from llmops_cli.serve.watch.traces import Tracer

    return Tracer(endpoint)


def _wants_meanings(config: GatewayConfig) -> bool:
    return any(
        c is not None and c.semantic
        for c in (config.cache, *(m.cache for m in config.models.values()))
    )


def log_to_stderr() -> None:
    """Warnings and errors of the gateway, a line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    LOG.handlers = [handler]
    LOG.propagate = False
    LOG.setLevel(logging.WARNING)


def serve_here(launch: GatewaySpec, listener: socket.socket) -> bool:
    """Serves in this process until told to stop, then lets what is under way end. Whether it ever
    served.
    """
    import uvicorn

    from llmops_cli.serve.door.protocol import Patient

    log_to_stderr()
    service = Gateway(launch)
    Patient.head_s = launch.config.limits.header_s
    Patient.body_s = launch.config.limits.body_s
    config = uvicorn.Config(
        service.app,
        loop="uvloop",
        http=Patient,
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="error",
        server_header=False,
        proxy_headers=False,
        date_header=True,
        timeout_graceful_shutdown=DRAIN_S,
        backlog=2048,
        limit_concurrency=launch.config.limits.connections,
        ssl_certfile=launch.tls_cert,
        ssl_keyfile=launch.tls_key,
        timeout_keep_alive=75,
    )
    server = uvicorn.Server(config)
    gc.freeze()  # what is there now stays; requests leave few cycles behind, so looking for them can be rare
    gc.set_threshold(2_000, 10, 10)
    with suppress(KeyboardInterrupt):  # uvicorn raises the signal again once it has drained
        server.run(sockets=[listener])
    return server.started
