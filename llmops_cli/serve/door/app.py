"""The gateway as a raw ASGI application.

Who asks, may they, is what they send whole; the rest is the handler's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from llmops_cli.serve.accounts.failed_keys import FailedKeys
from llmops_cli.serve.accounts.keys import KeyStore
from llmops_cli.serve.accounts.limits import network_of
from llmops_cli.serve.answers.admitted import AdmittedRequest
from llmops_cli.serve.answers.dialects.dialect import Dialect
from llmops_cli.serve.answers.disconnect import ClientGone, until_gone
from llmops_cli.serve.answers.handler import RequestHandler
from llmops_cli.serve.context import Ended, RequestContext
from llmops_cli.serve.door.body import parse, received
from llmops_cli.serve.door.cors import cors_headers, preflight_headers
from llmops_cli.serve.door.forms import fields_of_form
from llmops_cli.serve.door.identity import NoGoodKey, admit, read_headers
from llmops_cli.serve.door.pages import Pages
from llmops_cli.serve.door.protocol import ON_DISCONNECT
from llmops_cli.serve.door.request_log import RequestLog
from llmops_cli.serve.door.respond import Receive, Scope, Send, respond
from llmops_cli.serve.endpoints import (
    COUNT_TOKENS,
    FEEDBACK,
    HEALTH,
    MODERATIONS,
    NOWHERE,
    READY,
    Endpoint,
    PageEndpoint,
    dialect_at,
    page_at,
)
from llmops_cli.serve.feedback.desk import BODY_MOST as RATING_MOST
from llmops_cli.serve.feedback.desk import FeedbackDesk
from llmops_cli.serve.judging.judging import Judging
from llmops_cli.serve.judging.weight import is_light
from llmops_cli.serve.passed_endpoints import advice
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.snapshot import Snapshot
from llmops_cli.serve.watch.audit import AuditBodies, BodyRecorder
from llmops_cli.serve.watch.metrics import Metrics

LOG = logging.getLogger("llmops.gateway")
ROUTE_CHARS = 64
ORDER_BYTES = 16_384
"""Of an operator."""
GONE_STATUS = 499
"""As nginx calls a client that did not wait."""
CUT_OFF_S = 2.0
ENDED_EVERY_S = 0.01
CUT_OFF_STATUS = 500
"""What uvicorn says where nothing was said yet."""
"""For writing down what is known, of a gateway that was told twice to end."""
UNGUARDED = (HEALTH, READY)
"""What monitors ask by any name: nothing in it is of use to a page."""

Lifespan = Callable[[], Awaitable[None]]


class GatewayApp:
    """`await app(scope, receive, send)`. `snapshot` may be replaced at any time."""

    def __init__(
        self,
        snapshot: Snapshot,
        store: KeyStore,
        *,
        failed_keys: FailedKeys,
        handler: RequestHandler,
        judging: Judging,
        desk: FeedbackDesk | None,
        pages: Pages,
        metrics: Metrics,
        log: RequestLog,
        started: Lifespan,
        stopped: Lifespan,
    ) -> None:
        self.snapshot = snapshot
        self._store = store
        self._failed_keys = failed_keys
        self._handler = handler
        self._judging = judging
        self._desk = desk
        self._pages = pages
        self._metrics = metrics
        self._log = log
        self._started = started
        self._stopped = stopped

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._exchange(scope, receive, send)

    async def _exchange(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        path = scope["raw_path"].partition(b"?")[0].decode("latin-1")
        endpoint = self.snapshot.endpoints.get(path)
        route = endpoint or page_at(path)
        shown = path[:ROUTE_CHARS] if route is None else route.path
        context = RequestContext(shown, endpoint or NOWHERE)
        context.decided.config = self.snapshot.digest
        observed = context.observed
        dialect = endpoint.dialect() if endpoint else dialect_at(path)
        context.decided.headers += dialect.named(context.asked.id)
        cors = self.snapshot.config.cors
        if cors is not None:
            context.decided.headers += cors_headers(cors, scope)
        self._metrics.under_way += 1
        try:
            await self._serve(scope, route, context, dialect, receive, send)
        except Refusal as refusal:
            observed.error = refusal.code
            self._metrics.refused(refusal.code, context.asked.key_id)
            await _refuse(refusal, context, dialect, send)
        except ClientGone:
            observed.status = GONE_STATUS
            observed.error = "client gone"
            observed.ended = Ended.CLIENT_GONE
        except asyncio.CancelledError:
            observed.status = observed.status or CUT_OFF_STATUS
            observed.error = "cut off at the gateway's end"
            observed.ended = Ended.BROKEN
            raise
        except Exception as error:
            LOG.exception("request %s", context.asked.id)
            await _admit_bug(error, context, dialect, send)
        finally:
            self._metrics.under_way -= 1
            if endpoint is not None or observed.order is not None or observed.status >= 400:
                self._log.end(context)

    async def _serve(
        self,
        scope: Scope,
        route: Endpoint | PageEndpoint | None,
        context: RequestContext,
        dialect: Dialect,
        receive: Receive,
        send: Send,
    ) -> None:
        shown = context.asked.route
        snapshot = self.snapshot
        headers = scope["headers"]
        client = scope.get("client")
        peer = str(client[0]) if client else ""
        context.asked.ip = snapshot.proxies.client(peer, headers)
        if not snapshot.config.keys_required and route not in UNGUARDED:
            snapshot.names.check(headers)
        if route is None:
            raise Refusal(404, f"there is no {shown}{advice(shown)}", code="not_found")
        if scope["method"] not in route.methods:
            await self._other_method(scope, route, context, send)
            return
        if route.right is not None:
            self._admit(scope, context, route.right)
        if isinstance(route, PageEndpoint) and scope["method"] == "POST":
            await self._change_page(scope, context, receive, send)
        elif isinstance(route, PageEndpoint):
            await self._read_page(scope, route, context, send)
        else:
            await self._post(scope, context, dialect, receive, send)

    def _admit(
        self,
        scope: Scope,
        context: RequestContext,
        right: str,
    ) -> None:
        """Raises: Refusal."""
        config = self.snapshot.config
        try:
            admit(scope, context, self._store, config, right)
        except NoGoodKey as refusal:
            if refusal.was_one:
                raise
            most = config.limits.bad_keys_per_minute
            self._failed_keys.count(context.asked.ip, most)
            raise

    async def _other_method(
        self,
        scope: Scope,
        route: Endpoint | PageEndpoint,
        context: RequestContext,
        send: Send,
    ) -> None:
        """A browser's question before its request, or a mistake. Raises: Refusal."""
        cors = self.snapshot.config.cors
        told = None if cors is None else preflight_headers(cors, scope, route.methods)
        if told is None:
            methods = ", ".join(route.methods)
            raise Refusal(
                405,
                f"{context.asked.route} is for {methods}",
                code="method_not_allowed",
                headers=[(b"allow", methods.encode())],
            )
        context.observed.status = 200
        await respond(send, 200, b"", [*context.decided.headers, *told], kind=None)

    async def _read_page(
        self,
        scope: Scope,
        page: PageEndpoint,
        context: RequestContext,
        send: Send,
    ) -> None:
        path = scope["raw_path"].partition(b"?")[0].decode("latin-1")
        found = await self._pages.read(
            page,
            path,
            scope["query_string"],
            self.snapshot,
            context,
        )
        context.observed.status = found.status
        headers = [*context.decided.headers, *found.headers]
        await respond(send, found.status, found.body, headers, kind=found.kind)

    async def _change_page(
        self,
        scope: Scope,
        context: RequestContext,
        receive: Receive,
        send: Send,
    ) -> None:
        """Raises: Refusal."""
        if not context.asked.key_id:
            raise NoGoodKey("a change needs a key of the role admin, also where others need none")
        body = await received(scope, receive, most=ORDER_BYTES)
        found = await self._pages.change(body, context)
        context.observed.status = found.status
        await respond(send, found.status, found.body, context.decided.headers, kind=found.kind)

    async def _post(
        self,
        scope: Scope,
        context: RequestContext,
        dialect: Dialect,
        receive: Receive,
        send: Send,
    ) -> None:
        snapshot = self.snapshot
        asked = context.asked
        limits = snapshot.config.limits
        read_headers(scope, context)
        dialect.hear(scope["headers"])
        if asked.endpoint is FEEDBACK:
            await self._rate(scope, context, receive, send)
            return
        takes_form = bool(asked.endpoint.files)
        most = limits.upload_bytes if takes_form else limits.body_bytes
        client = asked.key_id or network_of(asked.ip)
        body = await received(scope, receive, most=most, client=client)
        if takes_form:
            body = fields_of_form(scope, body, asked)
        hooks = scope[ON_DISCONNECT]
        if is_light(body):
            body = parse(body, asked, dialect)
        else:
            reading = self._judging.read(body, asked, dialect, limits.judging)
            body = await until_gone(reading, context.observed, hooks)
        context.decided.headers += dialect.told()
        if asked.endpoint is MODERATIONS:
            await self._handler.moderate(AdmittedRequest(snapshot, context, dialect, send), hooks)
            return
        if not snapshot.was_looked:
            await snapshot.looked()
        self._log.begin(context)
        if asked.endpoint is COUNT_TOKENS:
            await self._handler.count(AdmittedRequest(snapshot, context, dialect, send))
            return
        if not self._log.keeps_bodies:
            request = AdmittedRequest(snapshot, context, dialect, send)
            await self._handler.handle(request, hooks)
            return
        recorder = BodyRecorder(send)
        try:
            request = AdmittedRequest(snapshot, context, dialect, recorder.send)
            await self._handler.handle(request, hooks)
        finally:
            context.observed.bodies = AuditBodies(body, recorder.recorded())

    async def _rate(
        self,
        scope: Scope,
        context: RequestContext,
        receive: Receive,
        send: Send,
    ) -> None:
        """Raises: Refusal; ClientGone."""
        body = await received(scope, receive, most=RATING_MOST)
        if self._desk is None:  # it was turned on since
            said = "feedback is taken from the gateway's next start on"
            raise Refusal(503, said, code="feedback_unavailable")
        found = await self._desk.take(body, context, self.snapshot)
        context.observed.status = 200
        await respond(send, 200, found, context.decided.headers)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            try:
                message = await receive()
            except asyncio.CancelledError:  # told twice to end, it is asked for nothing more
                await self._cut_off()
                return
            if message["type"] == "lifespan.startup":
                await self._started()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._have_ended()
                await self._log.close()
                await self._stopped()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _cut_off(self) -> None:
        """What was spent and asked is written down, whatever else is still open."""
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * CUT_OFF_S):
                await self._have_ended()
                await self._log.close()
                await self._stopped()

    async def _have_ended(self) -> None:
        """Requests that were cut off get their line in the audit: each takes a moment to end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CUT_OFF_S):
                while self._metrics.under_way:  # noqa: ASYNC110  nobody hurries here
                    await asyncio.sleep(ENDED_EVERY_S)


async def _refuse(
    refusal: Refusal,
    context: RequestContext,
    dialect: Dialect,
    send: Send,
) -> None:
    context.observed.status = refusal.status
    body = dialect.refusal(refusal, context.asked.id)
    headers = [*context.decided.headers, *refusal.headers]
    await respond(send, refusal.status, body, headers)


async def _admit_bug(
    error: Exception,
    context: RequestContext,
    dialect: Dialect,
    send: Send,
) -> None:
    """Nothing more can be told to a client that has part of an answer."""
    observed = context.observed
    observed.error = f"bug: {type(error).__name__}"
    has_begun = observed.status != 0
    observed.status = 500
    if has_begun:
        observed.ended = Ended.BROKEN
    else:
        bug = Refusal(500, "the gateway failed", code="internal_error")
        await _refuse(bug, context, dialect, send)
