"""The gateway: one process that serves, what it does each second, and on a reload."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.serve.accounts.keys import KeyStore
from llmops_cli.serve.answers.cached import AnswerCache
from llmops_cli.serve.answers.handler import RequestHandler
from llmops_cli.serve.door.app import GatewayApp
from llmops_cli.serve.door.certificate import ServedCertificate
from llmops_cli.serve.door.pages import Pages
from llmops_cli.serve.door.protocol import TimedProtocol
from llmops_cli.serve.door.request_log import RequestLog
from llmops_cli.serve.feedback.book import AskedBook
from llmops_cli.serve.feedback.desk import FeedbackDesk
from llmops_cli.serve.follow import FileFollower
from llmops_cli.serve.judging.judging import Judging
from llmops_cli.serve.judging.key_search import warm_up_search
from llmops_cli.serve.judging.work import warm_up
from llmops_cli.serve.rollout.rollout import Rollout
from llmops_cli.serve.snapshot import Snapshot
from llmops_cli.serve.spec import GatewaySpec
from llmops_cli.serve.state import connect_serving
from llmops_cli.serve.storage import Storage, audit_log, feedback_log
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.upstreams.members import Members
from llmops_cli.serve.upstreams.upstream import Upstream
from llmops_cli.serve.versions import ConfigVersion, ConfigVersions
from llmops_cli.serve.watch.block_alert import BlockAlert, Judgements
from llmops_cli.serve.watch.console import Console
from llmops_cli.serve.watch.info_board import ServedModel
from llmops_cli.serve.watch.key_sightings import KeySightings
from llmops_cli.serve.watch.member_board import MemberState
from llmops_cli.serve.watch.metrics import Metrics

if TYPE_CHECKING:
    from llmops_cli.serve.answers.semantic import Meanings

LOG = logging.getLogger("llmops.gateway")
TICK_S = 1.0


class Gateway:
    """`app` is what a server calls. `certificate`: its own, if it speaks TLS."""

    def __init__(self, spec: GatewaySpec, versions: ConfigVersions) -> None:
        self._spec = spec
        self._folder = Path(spec.folder)
        self._metrics = Metrics()
        self._keys = KeyStore(self._folder)
        self._canaries = Canaries(self._folder)
        self._storage = Storage(self._folder, spec.config.redis)
        self._audit = audit_log(self._folder, spec.config)
        self._tracer = _tracer(spec.config.traces)
        self._judging = Judging()
        self._book = self._new_book()
        self._desk = self._new_desk()
        self._handler = RequestHandler(
            budgets=self._storage.budgets,
            cache=AnswerCache(self._storage.answers, self._new_meanings),
            metrics=self._metrics,
            judging=self._judging,
            book=self._book,
        )
        history = connect_serving(self._folder)
        self._follower = FileFollower(spec, versions, self._keys, self._metrics, database=history)
        self._rollout = Rollout(
            self,
            canaries=self._canaries,
            follower=self._follower,
            database=history,
        )
        self.snapshot = self.new_snapshot(self._follower.serves, None)
        self._settle(self.snapshot.config)
        self._console = Console(self._folder, self._metrics, self._storage.budgets, self._canaries)
        self.app = self._new_app()
        self._tasks: set[asyncio.Task[None]] = set()
        self._alert = BlockAlert()
        self.certificate: ServedCertificate | None = None
        self._show_digests()

    def _new_app(self) -> GatewayApp:
        return GatewayApp(
            self.snapshot,
            self._keys,
            failed_keys=self._storage.failed_keys,
            handler=self._handler,
            judging=self._judging,
            desk=self._desk,
            pages=Pages(self._console, self._rollout),
            metrics=self._metrics,
            log=self._new_log(),
            started=self._started,
            stopped=self._stopped,
        )

    def _new_log(self) -> RequestLog:
        sightings = KeySightings(self._keys, self._metrics, self._upstream_digests)
        return RequestLog(
            self._audit,
            self._metrics,
            self._judging,
            sightings,
            self._tracer,
            build=self._spec.build,
        )

    def _upstream_digests(self) -> list[set[bytes]]:
        return [each.origin.secret_digests for each in self.snapshot.all()]

    def _new_book(self) -> AskedBook | None:
        config = self._spec.config.feedback
        return None if config is None else self._storage.book(self._folder, config)

    def _new_desk(self) -> FeedbackDesk | None:
        if self._book is None:
            return None
        log = feedback_log(self._folder, self._spec.config)
        return FeedbackDesk(self._book, log, self._metrics, self._judging)

    def _new_meanings(self) -> Meanings:
        from llmops_cli.serve.answers.semantic import Meanings

        return Meanings(self._folder)

    # -- configuration

    def new_snapshot(self, version: ConfigVersion, before: Snapshot | None) -> Snapshot:
        return Snapshot(
            version.config,
            urls=self._spec.urls,
            digests=self._spec.digests,
            policy=version.policy,
            prompts=version.prompts,
            limiter=self._storage.limiter,
            canaries=self._canaries,
            metrics=self._metrics,
            before=before,
        )

    def replace_snapshot(self, snapshot: Snapshot) -> None:
        old = self.snapshot
        self.snapshot = snapshot
        self.app.snapshot = snapshot
        self._settle(snapshot.config)
        self._show_digests()
        snapshot.watch()
        self._start(self._prepare_judges())
        self._start(old.retire(snapshot))

    def discard_snapshot(self, snapshot: Snapshot) -> None:
        self.snapshot.watch()
        self._start(snapshot.retire(self.snapshot))

    def _settle(self, config: GatewayConfig) -> None:
        """What is kept beside a snapshot and follows it."""
        self._canaries.configure(config.models, digest=self._follower.digest)
        self._metrics.tags = list(dict.fromkeys(config.tags))
        TimedProtocol.head_s = config.limits.header_s
        TimedProtocol.body_s = config.limits.body_s

    # -- life

    async def _started(self) -> None:
        if self.snapshot.guard is not None:
            warm_up()
        self.snapshot.watch()
        self._storage.start()
        self._start(self._ticks())
        self._start(self._prepare_judges())
        if self.snapshot.config.audit.keys:
            self._start(asyncio.to_thread(warm_up_search))
        with suppress(NotImplementedError, RuntimeError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._start_reload)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])

    async def _prepare_judges(self) -> None:
        """They are there before the first request that needs one.

        What is judged here, beside them, is prepared too, in a thread.
        """
        if self.snapshot.guard is not None:
            await asyncio.to_thread(warm_up)
        self._judging.pool.stays = self.snapshot.needs_judges
        if self.snapshot.needs_judges:
            await self._judging.pool.prepare()

    def _start_reload(self) -> None:
        self._follower.want()
        self._start(self._follower.look(self))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:  # Any: what it yields
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stopped(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.snapshot.close()
        if self._desk is not None:
            self._desk.close()
        self._console.close()
        await self._storage.close()
        await self._judging.pool.close()
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
        """What fails of it, on a full disk, keeps nothing else from being done."""
        works = (
            self._storage.flush,
            self._canaries.tick,
            self._audit.look,
            self._look_at_files,
            self._show_state,
        )
        for work in works:
            try:
                work()
            except Exception:  # the boundary of a task that must not end
                LOG.exception("housekeeping")
        await self._follower.look(self)

    def _look_at_files(self) -> None:
        if self._desk is not None:
            self._desk.look()
        for upstream in self.snapshot.all():
            upstream.look_at_files()
        if self.certificate is not None:
            self.certificate.look()

    # -- what metrics show

    def _show_state(self) -> None:
        metrics = self._metrics
        metrics.tell()
        metrics.tasks.set(len(asyncio.all_tasks()))
        metrics.queued.set(self.snapshot.dispatcher.queues.total())
        metrics.judging.set(self._judging.pool.waiting())
        if self._storage.link is not None:
            metrics.redis_up.set(self._storage.link.up)
        rows = list[MemberState]()
        for name, members in self.snapshot.upstreams.items():
            self._show_upstream(name, members)
            rows += [_shown(each) for each in members.known() if each.member]
        metrics.members.tell(rows)
        self._show_digests()
        for name in self._canaries.states():
            metrics.canary(name, self._canaries.percent(name))
        seen = Judgements(self._handler.judged, self._handler.blocked)
        most = self.snapshot.config.guard_alert
        metrics.block_rate.set(self._alert.look(seen, alert_above=most))

    def _show_digests(self) -> None:
        models = [model for each in self.snapshot.all() for model in _models_of(each)]
        self._metrics.info.tell(
            build=self._spec.build,
            config=self.snapshot.digest,
            models=models,
        )

    def _show_upstream(self, name: str, group: Members) -> None:
        if group.discovery is not None:
            self._metrics.discovered(
                name,
                members=len(group.addresses),
                ok=group.discovery.is_fine,
            )
        self._metrics.upstream_state(
            name,
            up=any(not each.down for each in group),
            refuses=any(each.has_refused_us_lately() for each in group),
            breaker=max((each.breaker.state.badness for each in group), default=0),
            outstanding=sum(each.outstanding for each in group),
        )


def _models_of(upstream: Upstream) -> list[ServedModel]:
    """Those whose digest is known."""
    digests = upstream.digests
    if not digests and upstream.started:
        digests = {"": upstream.started}
    return [ServedModel(upstream.name, name, digest) for name, digest in digests.items()]


def _shown(upstream: Upstream) -> MemberState:
    return MemberState(
        upstream=upstream.name,
        member=upstream.member,
        up=not upstream.down,
        breaker=upstream.breaker.state.badness,
        in_flight=upstream.in_flight,
        outstanding=upstream.outstanding,
        answers=upstream.answers,
        failures=upstream.failures,
        leaving=upstream.has_left,
    )


def _tracer(endpoint: str | None) -> Any:  # Any: an optional library's
    if endpoint is None:
        return None
    from llmops_cli.serve.watch.traces import Tracer

    return Tracer(endpoint)
