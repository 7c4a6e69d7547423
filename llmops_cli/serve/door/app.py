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
from llmops_cli.serve.answers.dialects import Dialect, Messages, chat_of
from llmops_cli.serve.answers.flow import Flow, Gone, Job, Receive, Send, answer, fields_of
from llmops_cli.serve.door.protocol import LEFT
from llmops_cli.serve.request import Ask, Refusal, Talk
from llmops_cli.serve.snapshot import Site
from llmops_cli.serve.watch.audit import AuditLog, Bodies, Entry, Watched, now
from llmops_cli.serve.watch.console import Console
from llmops_cli.serve.watch.metrics import CONTENT_TYPE, Metrics

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard

Scope = MutableMapping[str, Any]  # Any: ASGI

LOG = logging.getLogger("llmops.gateway")
POSTS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/embeddings": "embeddings",
    "/v1/moderations": "moderations",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
}
GETS = {"/v1/models": "models", "/metrics": "metrics", "/admin/state": "admin"}
OPEN = ("/health", "/ready", "/ui", "/openapi.json")
"""No key is asked for: these tell nothing of anybody. The page at /ui asks for one itself."""
OPEN_KEY = Key(id="open", name="open", role="admin", models=[], created=0.0)
SESSION_HEADERS = (b"x-session-id", b"x-llmops-session")


class Gateway:
    """`await gateway(scope, receive, send)`. `site` may be replaced at any time."""

    def __init__(
        self,
        site: Site,
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
        self.site = site
        self._store = store
        self._flow = flow
        self._audit = audit
        self.metrics = metrics
        self._console = console
        self._tracer = tracer
        self._started = started
        self._stopped = stopped
        self._decode = msgspec.json.Decoder(Ask).decode

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        path = scope["raw_path"].partition(b"?")[0].decode("latin-1")
        talk = Talk(path[:64])
        dialect = Dialect()
        if path.startswith("/v1/messages"):
            dialect = Messages()
        self.metrics.in_flight.inc()
        try:
            await self._serve(scope, path, talk, dialect, receive, send)
        except Refusal as refusal:
            talk.status = refusal.status
            talk.error = refusal.code
            self.metrics.refused(refusal.code, talk.key)
            await answer(
                send,
                refusal.status,
                dialect.refusal(refusal, talk.id),
                [*talk.head, *refusal.headers],
            )
        except Gone:
            talk.status = 499
            talk.error = "client gone"
        except Exception as error:
            LOG.exception("request %s", talk.id)
            talk.error = f"bug: {type(error).__name__}"
            begun = talk.status
            talk.status = 500
            if not begun:
                bug = Refusal(500, "the gateway failed", code="internal_error")
                await answer(send, 500, dialect.refusal(bug, talk.id), talk.head)
        finally:
            self.metrics.in_flight.dec()
            if path in POSTS or talk.status >= 400:
                self._note(talk)

    async def _serve(
        self, scope: Scope, path: str, talk: Talk, dialect: Dialect, receive: Receive, send: Send
    ) -> None:
        method = scope["method"]
        wanted = "POST" if path in POSTS else "GET" if path in GETS or path in OPEN else None
        if wanted is None:
            raise Refusal(404, f"there is no {talk.route}", code="not_found")
        if method != wanted:
            raise Refusal(
                405,
                f"{talk.route} is for {wanted}",
                code="method_not_allowed",
                headers=[(b"allow", wanted.encode())],
            )
        if path in OPEN:
            await self._public(path, talk, send)
            return
        key = self._admit(scope, POSTS.get(path) or GETS[path], talk)
        if path in POSTS:
            await self._post(scope, path, key, talk, dialect, receive, send)
            return
        if path == "/metrics":
            body = self.metrics.text()
            kind = CONTENT_TYPE
        elif path == "/v1/models":
            body = await self._list(key)
            kind = b"application/json"
        else:
            body = await self._console.state(self.site, self._store)
            kind = b"application/json"
        talk.status = 200
        await answer(send, 200, body, talk.head, kind=kind)

    async def _public(self, path: str, talk: Talk, send: Send) -> None:
        talk.status = 200
        if path == "/health":
            await answer(send, 200, b'{"status":"ok"}', talk.head)
        elif path == "/ready":
            ready = self.site.ready()
            talk.status = 200 if ready else 503
            await answer(
                send, talk.status, b'{"ready":%b}' % (b"true" if ready else b"false"), talk.head
            )
        else:
            body, kind, headers = self._console.page(path)
            await answer(send, 200, body, [*talk.head, *headers], kind=kind)

    # -- who asks
    # --------------------------------------------------------------------------------------

    def _admit(self, scope: Scope, right: str, talk: Talk) -> Key:
        given = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                kind, _, rest = value.decode("latin-1").partition(" ")
                given = rest.strip() if kind.lower() == "bearer" else None
                break
            if name == b"x-api-key":
                given = value.decode("latin-1").strip()
        client = scope.get("client")
        talk.ip = str(client[0]) if client else ""
        if given is None and not self.site.config.keys_required:
            return OPEN_KEY
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
        talk.key = key.id
        talk.key_name = key.name
        if not key.may(right):
            raise Refusal(403, f"this key may not use {talk.route}", code="forbidden")
        return key

    def _headers(self, scope: Scope, talk: Talk) -> None:
        """What a client may say beside its body. Anything else that it sends is not passed on."""
        for name, value in scope["headers"]:
            if name == b"content-encoding" and value != b"identity":
                raise Refusal(415, "compressed bodies are not taken", code="unsupported")
            if name in SESSION_HEADERS:
                talk.session = value.decode("latin-1")[:256]
            elif name == b"x-llmops-urgency":
                talk.urgency = "batch" if value == b"batch" else "interactive"
            elif name == b"x-llmops-timeout-ms":
                talk.deadline = talk.start + _number(value) / 1000
            elif name in (b"x-llmops-cache", b"cache-control"):
                if value in (b"bypass", b"no-cache", b"no-store"):
                    talk.cache = "bypass"
            elif name == b"traceparent":
                talk.parent = value.decode("latin-1")[:64]
            elif name == b"x-forwarded-for" and self.site.config.limits.trusted_proxies:
                talk.ip = self._forwarded(talk.ip, value.decode("latin-1"))

    def _forwarded(self, peer: str, value: str) -> str:
        """The nearest address that is none of our proxies."""
        trusted = [
            ipaddress.ip_network(each, strict=False)
            for each in self.site.config.limits.trusted_proxies
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
        await self.site.looked()
        names = self.site.router.names()
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
        path: str,
        key: Key,
        talk: Talk,
        dialect: Dialect,
        receive: Receive,
        send: Send,
    ) -> None:
        site = self.site
        self._headers(scope, talk)
        body = await self._body(scope, receive)
        talk.bytes_in = len(body)
        if b'"image' in body or b'"input_image' in body:
            talk.images = (
                body.count(b'"image_url"') + body.count(b'"input_image"') + body.count(b'"base64"')
            )
        ask, body = self._read(body, path, dialect)
        if path == "/v1/moderations":
            talk.status = 200
            await answer(send, 200, moderated(site.guard, ask, talk), talk.head)
            return
        if not talk.session and ask.user:
            talk.session = ask.user
        await site.looked()
        inner = "/v1/chat/completions" if path == "/v1/messages" else path
        shown = Watched(send) if self._audit.bodies else None
        job = Job(ask, fields_of(body), inner, key, talk, dialect, shown.send if shown else send)
        if self._tracer is not None:
            self._tracer.begin(talk, ask)
        try:
            await self._flow.run(site, job, scope[LEFT])
        finally:
            if shown is not None:
                talk.bodies = Bodies(body, shown.said())

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        limits = self.site.config.limits
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

    def _read(self, body: bytes, path: str, dialect: Dialect) -> tuple[Ask, bytes]:
        """(what is asked, the body in OpenAI's form). Raises: Refusal."""
        try:
            if isinstance(dialect, Messages):
                body = chat_of(body)
            ask = self._decode(body)
        except msgspec.ValidationError as error:
            raise Refusal(400, str(error).replace("`", "'"), code="invalid_body") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refusal(400, f"the body is not JSON: {error}", code="invalid_json") from None
        except RecursionError:
            raise Refusal(400, "the body is nested too deep", code="invalid_json") from None
        if not ask.model and path != "/v1/moderations":
            raise Refusal(400, "the body has no model", code="invalid_body")
        if path in ("/v1/messages", "/v1/chat/completions"):
            if not ask.messages:
                raise Refusal(400, "a chat needs messages", code="invalid_body")
        elif path == "/v1/completions":
            if ask.prompt is msgspec.UNSET:
                raise Refusal(400, "a completion needs a prompt", code="invalid_body")
        elif ask.input is msgspec.UNSET:
            raise Refusal(400, f"{path} needs an input", code="invalid_body")
        if isinstance(dialect, Messages):
            dialect.model = ask.model
        return ask, body

    # -- bookkeeping
    # -----------------------------------------------------------------------------------

    def _note(self, talk: Talk) -> None:
        total = time.monotonic() - talk.start
        usage = talk.usage
        self.metrics.done(talk, total)
        lost = self._audit.lost
        self._audit.write(
            Entry(
                at=now(),
                request=talk.id,
                route=talk.route,
                status=talk.status,
                key=talk.key,
                model=talk.model,
                stream=talk.stream,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                first_ms=round(talk.first * 1e3, 2),
                total_ms=round(total * 1e3, 2),
                guard=talk.guard,
                error=talk.error,
                upstream=talk.upstream,
                side=talk.side if talk.side != "stable" else "",
                cache=talk.cache,
                dollars=round(talk.cost, 9),
                ip=talk.ip,
            ),
            talk.bodies,
        )
        if self._audit.lost > lost:
            self.metrics.audit_lost.inc(self._audit.lost - lost)
        if self._tracer is not None:
            self._tracer.end(talk)

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


def moderated(guard: Guard | None, ask: Ask, talk: Talk) -> bytes:
    """The guard's opinion, in the form of OpenAI's moderations. Without a guard of its own, the
    default one's.
    """
    from llmops_cli.guard.check import Guard

    guard = guard or Guard()
    results = []
    for _, text in ask.texts():
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
        {"id": f"modr-{talk.id}", "model": "llmops-guard", "results": results}
    )
