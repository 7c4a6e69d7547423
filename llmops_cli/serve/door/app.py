"""The gateway as a raw ASGI application: who asks, may they, is what they send whole; the rest is
the flow's.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

import msgspec

from llmops_cli.serve.accounts.keys import Key, KeyStore
from llmops_cli.serve.answers.dialects import Dialect
from llmops_cli.serve.answers.flow import Flow, Gone, Job, Receive, Send, answer, fields_of
from llmops_cli.serve.context import Asked, CacheUse, RequestContext, Urgency
from llmops_cli.serve.door.protocol import LEFT
from llmops_cli.serve.endpoints import (
    ENDPOINTS,
    HEALTH,
    METRICS,
    MODELS,
    MODERATIONS,
    NOWHERE,
    PAGES,
    READY,
    STATE,
    Endpoint,
    Page,
    dialect_at,
)
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.request import RequestBody
from llmops_cli.serve.snapshot import Snapshot
from llmops_cli.serve.watch.audit import AuditLog, Bodies, Entry, Watched, now
from llmops_cli.serve.watch.console import Console
from llmops_cli.serve.watch.metrics import CONTENT_TYPE, Metrics

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard

Scope = MutableMapping[str, Any]  # Any: ASGI

LOG = logging.getLogger("llmops.gateway")
IMAGE_MARKS = (b'"image_url"', b'"input_image"', b'"base64"')
SESSION_HEADERS = (b"x-session-id", b"x-llmops-session")


class App:
    """`await gateway(scope, receive, send)`. `snapshot` may be replaced at any time."""

    def __init__(
        self,
        snapshot: Snapshot,
        store: KeyStore,
        *,
        flow: Flow,
        audit: AuditLog,
        metrics: Metrics,
        console: Console,
        tracer: Any = None,
        started: Callable[[], Any] | None = None,
        stopped: Callable[[], Any] | None = None,
    ) -> None:  # Any: OpenTelemetry, and coroutines
        self.snapshot = snapshot
        self._store = store
        self._flow = flow
        self._audit = audit
        self.metrics = metrics
        self._console = console
        self._tracer = tracer
        self._started = started
        self._stopped = stopped
        self._decode = msgspec.json.Decoder(RequestBody).decode

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        path = scope["raw_path"].partition(b"?")[0].decode("latin-1")
        endpoint = ENDPOINTS.get(path)
        context = RequestContext(path[:64], endpoint or NOWHERE)
        dialect = endpoint.dialect() if endpoint else dialect_at(path)
        self.metrics.in_flight.inc()
        try:
            await self._serve(scope, path, context, dialect, receive, send)
        except Refusal as refusal:
            context.observed.status = refusal.status
            context.observed.error = refusal.code
            self.metrics.refused(refusal.code, context.asked.key_id)
            await answer(
                send,
                refusal.status,
                dialect.refusal(refusal, context.asked.id),
                [*context.decided.headers, *refusal.headers],
            )
        except Gone:
            context.observed.status = 499
            context.observed.error = "client gone"
        except Exception as error:
            LOG.exception("request %s", context.asked.id)
            context.observed.error = f"bug: {type(error).__name__}"
            begun = context.observed.status
            context.observed.status = 500
            if not begun:
                bug = Refusal(500, "the gateway failed", code="internal_error")
                await answer(
                    send, 500, dialect.refusal(bug, context.asked.id), context.decided.headers
                )
        finally:
            self.metrics.in_flight.dec()
            if endpoint is not None or context.observed.status >= 400:
                self._note(context)

    async def _serve(
        self,
        scope: Scope,
        path: str,
        context: RequestContext,
        dialect: Dialect,
        receive: Receive,
        send: Send,
    ) -> None:
        route = ENDPOINTS.get(path) or PAGES.get(path)
        shown = context.asked.route
        if route is None:
            raise Refusal(404, f"there is no {shown}", code="not_found")
        if scope["method"] != route.method:
            raise Refusal(
                405,
                f"{shown} is for {route.method}",
                code="method_not_allowed",
                headers=[(b"allow", route.method.encode())],
            )
        if route.right is not None:
            self._admit(scope, route.right, context)
        if isinstance(route, Endpoint):
            await self._post(scope, context, dialect, receive, send)
        else:
            await self._read_page(route, context, send)

    async def _read_page(self, page: Page, context: RequestContext, send: Send) -> None:
        observed = context.observed
        headers = context.decided.headers
        kind = b"application/json"
        observed.status = 200
        if page is HEALTH:
            body = b'{"status":"ok"}'
        elif page is READY:
            ready = self.snapshot.ready()
            observed.status = 200 if ready else 503
            body = b'{"ready":true}' if ready else b'{"ready":false}'
        elif page is METRICS:
            body = self.metrics.text()
            kind = CONTENT_TYPE
        elif page is MODELS:
            body = await self._list(context.asked.key)
        elif page is STATE:
            body = await self._console.state(self.snapshot, self._store)
        else:
            body, kind, more = self._console.page(page)
            headers = [*headers, *more]
        await answer(send, observed.status, body, headers, kind=kind)

    # -- who asks
    # --------------------------------------------------------------------------------------

    def _admit(self, scope: Scope, right: str, context: RequestContext) -> None:
        given = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                kind, _, rest = value.decode("latin-1").partition(" ")
                given = rest.strip() if kind.lower() == "bearer" else None
                break
            if name == b"x-api-key":
                given = value.decode("latin-1").strip()
        client = scope.get("client")
        context.asked.ip = str(client[0]) if client else ""
        if given is None and not self.snapshot.config.keys_required:
            return
        key = self._store.find(given) if given else None
        if key is None:
            said = (
                "this key is not valid"
                if given
                else "a key is needed: Authorization: Bearer llmops_..."
            )
            raise Refusal(
                401, said, code="invalid_api_key", headers=[(b"www-authenticate", b"Bearer")]
            )
        context.asked.key = key
        context.asked.key_id = key.id
        context.asked.key_name = key.name
        if not key.may(right):
            raise Refusal(403, f"this key may not use {context.asked.route}", code="forbidden")

    def _headers(self, scope: Scope, context: RequestContext) -> None:
        """What a client may say beside its body. Anything else that it sends is not passed on."""
        for name, value in scope["headers"]:
            if name == b"content-encoding" and value != b"identity":
                raise Refusal(415, "compressed bodies are not taken", code="unsupported")
            if name in SESSION_HEADERS:
                context.asked.session = value.decode("latin-1")[:256]
            elif name == b"x-llmops-urgency":
                context.asked.urgency = Urgency.BATCH if value == b"batch" else Urgency.INTERACTIVE
            elif name == b"x-llmops-timeout-ms":
                context.asked.deadline = context.asked.start + _number(value) / 1000
            elif name in (b"x-llmops-cache", b"cache-control"):
                if value in (b"bypass", b"no-cache", b"no-store"):
                    context.asked.bypasses_cache = True
                    context.observed.cache = CacheUse.BYPASS
            elif name == b"traceparent":
                context.asked.parent = value.decode("latin-1")[:64]
            elif name == b"x-forwarded-for" and self.snapshot.config.limits.trusted_proxies:
                context.asked.ip = self._forwarded(context.asked.ip, value.decode("latin-1"))

    def _forwarded(self, peer: str, value: str) -> str:
        """The nearest address that is none of our proxies."""
        trusted = [
            ipaddress.ip_network(each, strict=False)
            for each in self.snapshot.config.limits.trusted_proxies
        ]
        for each in [peer, *reversed(value.split(","))]:
            try:
                address = ipaddress.ip_address(each.strip())
            except ValueError:
                return peer
            if not any(address in network for network in trusted):
                return str(address)
        return peer

    # -- requests
    # --------------------------------------------------------------------------------------

    async def _list(self, key: Key) -> bytes:
        await self.snapshot.looked()
        names = self.snapshot.router.names()
        if not names:
            raise Refusal(503, "the upstream does not list its models", code="upstream_unavailable")
        entries = [
            {"id": name, "object": "model", "created": 0, "owned_by": "llmops"}
            for name in sorted(names)
            if key.serves(name)
        ]
        return msgspec.json.encode({"object": "list", "data": entries})

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
        self._headers(scope, context)
        body = await self._body(scope, receive)
        asked.body_bytes = len(body)
        asked.images = _images_in(body)
        body = self._read(body, asked, dialect)
        if asked.endpoint is MODERATIONS:
            context.observed.status = 200
            found = moderated(snapshot.guard, context)
            await answer(send, 200, found, context.decided.headers)
            return
        if not asked.session and asked.body.user:
            asked.session = asked.body.user
        await snapshot.looked()
        asked.fields = fields_of(body)
        shown = Watched(send) if self._audit.bodies else None
        job = Job(context, dialect, shown.send if shown else send)
        if self._tracer is not None:
            self._tracer.begin(context)
        try:
            await self._flow.run(snapshot, job, scope[LEFT])
        finally:
            if shown is not None:
                context.observed.bodies = Bodies(body, shown.said())

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        limits = self.snapshot.config.limits
        most = limits.body_bytes
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > most:
                raise Refusal(413, f"the body is larger than {most:,} bytes", code="too_large")
        parts = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            part = message.get("body", b"")
            size += len(part)
            if size > most:
                raise Refusal(413, f"the body is larger than {most:,} bytes", code="too_large")
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)

    def _read(self, body: bytes, asked: Asked, dialect: Dialect) -> bytes:
        """The body in OpenAI's form; what is read of it is in `asked`. Raises: Refusal."""
        try:
            body = dialect.request(body)
            asked.body = self._decode(body)
        except msgspec.ValidationError as error:
            raise Refusal(400, str(error).replace("`", "'"), code="invalid_body") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refusal(400, f"the body is not JSON: {error}", code="invalid_json") from None
        except RecursionError:
            raise Refusal(400, "the body is nested too deep", code="invalid_json") from None
        if (said := asked.endpoint.lacks(asked.body)) is not None:
            raise Refusal(400, said, code="invalid_body")
        dialect.model = asked.body.model
        return body

    # -- bookkeeping
    # -----------------------------------------------------------------------------------

    def _note(self, context: RequestContext) -> None:
        total = time.monotonic() - context.asked.start
        usage = context.observed.usage
        self.metrics.done(context, total)
        lost = self._audit.lost
        self._audit.write(
            Entry(
                at=now(),
                request=context.asked.id,
                route=context.asked.route,
                status=context.observed.status,
                key=context.asked.key_id,
                model=context.asked.model,
                stream=context.asked.streams,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                first_ms=round(context.observed.first_s * 1e3, 2),
                total_ms=round(total * 1e3, 2),
                guard=context.observed.guard_shown,
                error=context.observed.error,
                upstream=context.observed.upstream,
                side=context.observed.side if context.observed.side != "stable" else "",
                cache=context.observed.cache,
                dollars=round(context.observed.dollars, 9),
                ip=context.asked.ip,
            ),
            context.observed.bodies,
        )
        if self._audit.lost > lost:
            self.metrics.audit_lost.inc(self._audit.lost - lost)
        if self._tracer is not None:
            self._tracer.end(context)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                if self._started is not None:
                    await self._started()
                await send({"type": "lifespan.startup.complete"})
            else:
                if self._stopped is not None:
                    await self._stopped()
                self._audit.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _images_in(body: bytes) -> int:
    if b'"image' not in body and b'"input_image' not in body:
        return 0
    return sum(map(body.count, IMAGE_MARKS))


def _number(value: bytes) -> float:
    try:
        found = float(value)
    except ValueError:
        found = 0.0
    if not 0 < found <= 3.6e6:
        raise Refusal(
            400,
            "x-llmops-timeout-ms is a number of milliseconds, at most an hour",
            code="invalid_header",
        )
    return found


def moderated(guard: Guard | None, context: RequestContext) -> bytes:
    """The guard's opinion, in the form of OpenAI's moderations. Without a guard of its own, the
    default one's.
    """
    from llmops_cli.guard.check import Guard

    guard = guard or Guard()
    results = []
    for _, text in context.asked.texts():
        decision = guard.check_input(text)
        hit = {
            finding.detector for finding in decision.findings if finding.action in ("flag", "block")
        }
        names = ("injection", "jailbreak", "extraction", "hidden_text")
        scores = {
            name: min(1.0, sum(f.score for f in decision.findings if f.detector == name))
            for name in names
        }
        results.append(
            {
                "flagged": decision.flagged,
                "categories": {name: name in hit for name in names},
                "category_scores": scores,
            }
        )
    return msgspec.json.encode(
        {"id": f"modr-{context.asked.id}", "model": "llmops-guard", "results": results}
    )
