"""The gateway as a raw ASGI application: who asks, may they, is it whole, is it harmless; then bytes pass through."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from llmops_cli.guard.check import Guard
from llmops_cli.serve.answers import Answer, Usage, guarded_body
from llmops_cli.serve.audit import AuditLog, Entry, now
from llmops_cli.serve.keys import Key, KeyStore
from llmops_cli.serve.limits import Limits
from llmops_cli.serve.metrics import Metrics
from llmops_cli.serve.upstream import Reply, Upstream, UpstreamError

Scope = MutableMapping[str, Any]  # Any: ASGI
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LOG = logging.getLogger("llmops.gateway")
POSTS = {
    b"/v1/chat/completions": "chat", b"/v1/completions": "completions", b"/v1/embeddings": "embeddings",
    b"/v1/moderations": "moderations",
}  # fmt: skip
OPEN_KEY = Key(id="open", name="open", role="admin", models=[], created=0.0)
DEFAULT_ANSWER_TOKENS = 256
CHARS_PER_TOKEN = 4
MODELS_S = 5.0
PASSED = (b"content-type", b"retry-after")
"""Headers of the upstream that clients see; everything else is ours."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway allows. Sizes in bytes, times in seconds."""

    keys_required: bool = True
    body_bytes: int = 10 << 20
    body_s: float = 30.0
    answer_tokens: int = 131_072
    retries: int = 2


class Ask(msgspec.Struct):
    """The part of a request that the gateway reads. Other fields pass through unread."""

    model: str = ""
    messages: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET  # Any: OpenAI's content parts
    prompt: str | list[Any] | msgspec.UnsetType = msgspec.UNSET
    input: str | list[Any] | msgspec.UnsetType = msgspec.UNSET
    stream: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None

    def texts(self) -> list[tuple[str, str]]:
        """(role, text) of everything that the guard should read."""
        if isinstance(self.messages, list):
            found = []
            for message in self.messages:
                content = message.get("content")
                parts = [content] if isinstance(content, str) else [
                    part.get("text") for part in content or () if isinstance(part, dict)
                ]  # fmt: skip
                found += [(str(message.get("role", "user")), part) for part in parts if isinstance(part, str)]
            return [(role, text) for role, text in found if role not in ("system", "developer", "assistant")]
        whole = self.prompt if self.prompt is not msgspec.UNSET else self.input
        pieces = whole if isinstance(whole, list) else [whole]
        return [("user", piece) for piece in pieces if isinstance(piece, str)]


class Refusal(Exception):
    """An answer of the gateway's own, in OpenAI's form."""

    def __init__(
        self, status: int, message: str, *, code: str, headers: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, headers or []

    def body(self) -> bytes:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return msgspec.json.encode({"error": {"message": self.message, "type": kind, "code": self.code}})


class _Talk:
    """One request under way, for the log and the metrics."""

    __slots__ = ("error", "first", "guard", "head", "id", "key", "model", "route", "start", "status", "stream", "usage")

    def __init__(self, route: str) -> None:
        self.id, self.route, self.start = secrets.token_hex(8), route, time.monotonic()
        self.key, self.model, self.status, self.first = "", "", 0, 0.0
        self.stream, self.guard, self.error, self.usage = False, "", "", Usage()
        self.head: list[tuple[bytes, bytes]] = [(b"x-request-id", self.id.encode())]


class Gateway:
    """`await gateway(scope, receive, send)`; one upstream."""

    def __init__(
        self, upstream: Upstream, store: KeyStore, *, rules: Rules, guard: Guard | None, audit: AuditLog,
        metrics: Metrics,
    ) -> None:  # fmt: skip
        self._upstream, self._store, self._rules, self._guard = upstream, store, rules, guard
        self._audit, self.metrics, self._limits = audit, metrics, Limits()
        self._models: frozenset[str] = frozenset()
        self._models_at = -MODELS_S
        self._decode = msgspec.json.Decoder(Ask)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        path: bytes = scope["raw_path"].partition(b"?")[0]
        talk = _Talk(path.decode("latin-1")[:64])
        self.metrics.in_flight.inc()
        try:
            await self._serve(scope, path, talk, receive, send)
        except Refusal as refusal:
            talk.status, talk.error = refusal.status, refusal.code
            await _answer(send, refusal.status, refusal.body(), [*talk.head, *refusal.headers])
        except _Gone:
            talk.status, talk.error = 499, "client gone"
        except Exception as error:
            LOG.exception("request %s", talk.id)
            talk.error, begun = f"bug: {type(error).__name__}", talk.status
            talk.status = 500
            if not begun:
                bug = Refusal(500, "the gateway failed", code="internal_error")
                await _answer(send, 500, bug.body(), talk.head)
        finally:
            self.metrics.in_flight.dec()
            if path not in (b"/health", b"/ready", b"/metrics"):
                self._note(talk)

    async def _serve(self, scope: Scope, path: bytes, talk: _Talk, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if path == b"/health":
            await _answer(send, 200, b'{"status":"ok"}', talk.head)
            return
        if path == b"/ready":
            ready = bool(await self._served())
            await _answer(send, 200 if ready else 503, b'{"ready":%s}' % (b"true" if ready else b"false"), talk.head)
            return
        scope_name = POSTS.get(path) or {b"/v1/models": "models", b"/metrics": "metrics"}.get(path)
        if scope_name is None:
            raise Refusal(404, f"there is no {talk.route}", code="not_found")
        wanted = "POST" if path in POSTS else "GET"
        if method != wanted:
            raise Refusal(405, f"{talk.route} is for {wanted}", code="method_not_allowed",
                          headers=[(b"allow", wanted.encode())])  # fmt: skip
        key = self._admit(scope, scope_name, talk)
        if path == b"/metrics":
            await _answer(send, 200, self.metrics.text(), talk.head, kind=b"text/plain; version=0.0.4; charset=utf-8")
            talk.status = 200
        elif path == b"/v1/models":
            await self._list(key, talk, send)
        else:
            await self._post(scope, path, key, talk, receive, send)

    def _admit(self, scope: Scope, scope_name: str, talk: _Talk) -> Key:
        given = _given_key(scope["headers"])
        if given is None and not self._rules.keys_required:
            return OPEN_KEY
        key = self._store.find(given) if given else None
        if key is None:
            said = "this key is not valid" if given else "a key is needed: Authorization: Bearer llmops_..."
            raise Refusal(401, said, code="invalid_api_key", headers=[(b"www-authenticate", b"Bearer")])
        talk.key = key.id
        if not key.may(scope_name):
            raise Refusal(403, f"this key may not use {talk.route}", code="forbidden")
        return key

    # -- models ----------------------------------------------------------------------------------------

    async def _served(self) -> frozenset[str]:
        """What the upstream lists, looked up every few seconds; empty if it does not answer."""
        now_s = time.monotonic()
        if now_s - self._models_at > MODELS_S:
            self._models_at = now_s
            try:
                status, raw = await self._fetch("/v1/models")
                listed = msgspec.json.decode(raw)["data"] if status == 200 else []
                self._models = frozenset(str(entry["id"]) for entry in listed)
            except (UpstreamError, msgspec.DecodeError, KeyError, TypeError):
                self._models, self._models_at = frozenset(), now_s - MODELS_S + 0.5
        return self._models

    async def _fetch(self, path: str) -> tuple[int, bytes]:
        reply = await self._upstream.ask("GET", path, b"", [])
        try:
            return reply.status, await reply.read()
        finally:
            self._upstream.release(reply)

    async def _list(self, key: Key, talk: _Talk, send: Send) -> None:
        served = await self._served()
        if not served:
            raise Refusal(503, "the upstream does not list its models", code="upstream_unavailable")
        entries = [{"id": name, "object": "model", "owned_by": "llmops"} for name in sorted(served) if key.serves(name)]
        talk.status = 200
        await _answer(send, 200, msgspec.json.encode({"object": "list", "data": entries}), talk.head)

    # -- a request with a body -------------------------------------------------------------------------

    async def _post(self, scope: Scope, path: bytes, key: Key, talk: _Talk, receive: Receive, send: Send) -> None:
        body = await self._body(scope, receive)
        ask = await self._read(body, path, key, talk)
        if path == b"/v1/moderations":
            await self._moderate(ask, talk, send)
            return
        estimated = len(body) // CHARS_PER_TOKEN + (
            ask.max_tokens or ask.max_completion_tokens or DEFAULT_ANSWER_TOKENS
        )
        verdict = self._limits.take(key, estimated)
        talk.head += verdict.headers
        if verdict.refused:
            self.metrics.refused(key.id, verdict.refused)
            wait = max(1, round(verdict.retry_after_s + 0.5))
            raise Refusal(429, f"the key's limit of {verdict.refused} is reached", code="rate_limit_exceeded",
                          headers=[(b"retry-after", str(wait).encode())])  # fmt: skip
        try:
            self._judge(ask, path, talk)
            await self._forward(body, path, talk, receive, send)
        finally:
            used = talk.usage.input_tokens + talk.usage.output_tokens
            self._limits.give_back(key, estimated=estimated, used=used or (0 if talk.status >= 400 else estimated))

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        most = self._rules.body_bytes
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > most:
                raise Refusal(413, f"the body is larger than {most:,} bytes", code="too_large")
            if name == b"content-encoding":
                raise Refusal(415, "compressed bodies are not taken", code="unsupported")
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._rules.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    part = message.get("body", b"")
                    size += len(part)
                    if size > most:
                        raise Refusal(413, f"the body is larger than {most:,} bytes", code="too_large")
                    parts.append(part)
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            raise Refusal(408, "the body did not come in time", code="timeout") from None

    async def _read(self, body: bytes, path: bytes, key: Key, talk: _Talk) -> Ask:
        try:
            ask = self._decode.decode(body)
        except msgspec.ValidationError as error:
            raise Refusal(400, str(error).replace("`", "'"), code="invalid_body") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refusal(400, f"the body is not JSON: {error}", code="invalid_json") from None
        if not ask.model and path != b"/v1/moderations":
            raise Refusal(400, "the body has no model", code="invalid_body")
        if path == b"/v1/chat/completions" and not ask.messages:
            raise Refusal(400, "a chat needs messages", code="invalid_body")
        wanted = ask.max_tokens or ask.max_completion_tokens or 0
        if not 0 <= wanted <= self._rules.answer_tokens:
            raise Refusal(400, f"max_tokens is more than {self._rules.answer_tokens:,}", code="invalid_body")
        talk.model, talk.stream = ask.model[:128], bool(ask.stream)
        if path != b"/v1/moderations":
            served = await self._served()
            if served and ask.model not in served:
                raise Refusal(404, f"there is no model {ask.model[:128]!r}", code="model_not_found")
            if not key.serves(ask.model):
                raise Refusal(403, f"this key may not use {ask.model[:128]!r}", code="forbidden")
        return ask

    def _judge(self, ask: Ask, path: bytes, talk: _Talk) -> None:
        """The guard on what goes in. Raises: Refusal if it blocks."""
        if self._guard is None:
            return
        for role, text in ask.texts():
            decision = self._guard.check_input(text, role=role, route=path.decode())
            if decision.action != "allow":
                talk.guard = f"input {decision.action}: {decision.findings[0].rule}"
                self.metrics.guarded("input", decision.action)
            if decision.action == "block":
                raise Refusal(400, decision.message or "blocked", code="content_filter")

    async def _moderate(self, ask: Ask, talk: _Talk, send: Send) -> None:
        guard = self._guard or Guard()
        results = []
        for _, text in ask.texts():
            decision = guard.check_input(text)
            hit = {finding.detector for finding in decision.findings if finding.action in ("flag", "block")}
            names = ("injection", "jailbreak", "extraction", "hidden_text")
            scores = {name: min(1.0, sum(f.score for f in decision.findings if f.detector == name)) for name in names}
            results.append({"flagged": decision.flagged, "categories": {name: name in hit for name in names},
                            "category_scores": scores})  # fmt: skip
        talk.status = 200
        answer = {"id": f"modr-{talk.id}", "model": "llmops-guard", "results": results}
        await _answer(send, 200, msgspec.json.encode(answer), talk.head)

    # -- the way to the upstream and back --------------------------------------------------------------

    async def _forward(self, body: bytes, path: bytes, talk: _Talk, receive: Receive, send: Send) -> None:
        """Sends the request on, and stops the upstream as soon as the client has gone."""
        exchange = asyncio.current_task()
        gone = asyncio.ensure_future(_left(receive))
        left: list[bool] = []

        def stop(task: asyncio.Future[None]) -> None:
            if not task.cancelled() and exchange is not None:
                left.append(True)
                exchange.cancel()

        gone.add_done_callback(stop)
        try:
            await self._exchange(body, path.decode(), talk, send)
        except asyncio.CancelledError:
            if not left:
                raise
            raise _Gone from None
        finally:
            gone.remove_done_callback(stop)
            gone.cancel()

    async def _exchange(self, body: bytes, path: str, talk: _Talk, send: Send) -> None:
        reply = await self._first(body, path, talk)
        try:
            talk.status, talk.first = reply.status, time.monotonic() - talk.start
            headers = [(name, value) for name, value in reply.headers if name in PASSED]
            streamed = any(
                name == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers
            )
            answer = Answer(self._guard, path, streamed=streamed)
            if streamed:
                await self._stream(reply, answer, [*talk.head, *headers], send)
            else:
                raw = await reply.read()
                if self._guard is not None and reply.status == 200:
                    raw = guarded_body(self._guard, raw, path, talk)
                answer.read(raw)
                await _answer(send, reply.status, raw, [*talk.head, *headers], kind=None)
            talk.usage = answer.usage
            if answer.action:
                talk.guard = f"output {answer.action}"
                self.metrics.guarded("output", answer.action)
        except UpstreamError as error:
            self.metrics.upstream_failed(error.kind[:40])
            talk.error = error.kind
            if not talk.stream or talk.first == 0:
                raise Refusal(502, f"the upstream broke off: {error.kind}", code="upstream_error") from None
            failure = {"error": {"message": f"the upstream broke off: {error.kind}", "type": "server_error"}}
            await send({"type": "http.response.body", "body": b"data: " + msgspec.json.encode(failure) + b"\n\n"})
        finally:
            self._upstream.release(reply)

    async def _stream(self, reply: Reply, answer: Answer, headers: list[tuple[bytes, bytes]], send: Send) -> None:
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        async for piece in reply.pieces():
            if shown := answer.feed(piece):
                await send({"type": "http.response.body", "body": shown, "more_body": True})
        await send({"type": "http.response.body", "body": answer.finish()})

    async def _first(self, body: bytes, path: str, talk: _Talk) -> Reply:
        """The upstream's head; asked again, after a short pause, while nothing was answered."""
        headers = [(b"Content-Type", b"application/json"), (b"X-Request-Id", talk.id.encode())]
        for attempt in range(self._rules.retries + 1):
            try:
                return await self._upstream.ask("POST", path, body, headers)
            except UpstreamError as error:
                self.metrics.upstream_failed(error.kind[:40])
                talk.error = error.kind
                if attempt == self._rules.retries or "in time" in error.kind:
                    status = 504 if "in time" in error.kind else 502
                    raise Refusal(status, error.kind, code="upstream_unavailable") from None
                await asyncio.sleep(0.05 * 2**attempt * (1 + secrets.randbelow(100) / 100))
        raise AssertionError("unreachable")

    # -- bookkeeping -----------------------------------------------------------------------------------

    def _note(self, talk: _Talk) -> None:
        total, usage = time.monotonic() - talk.start, talk.usage
        self.metrics.done(
            route=talk.route if talk.status != 404 else "other", model=talk.model if talk.status < 400 else "",
            key=talk.key, status=talk.status, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens,
            first_s=talk.first, total_s=total,
        )  # fmt: skip
        self._audit.write(Entry(
            at=now(), request=talk.id, route=talk.route, status=talk.status, key=talk.key, model=talk.model,
            stream=talk.stream, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens,
            first_ms=round(talk.first * 1e3, 2), total_ms=round(total * 1e3, 2), guard=talk.guard, error=talk.error,
        ))  # fmt: skip

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                self._upstream.close()
                self._audit.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


class _Gone(Exception):
    """The client has left."""


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _given_key(headers: list[tuple[bytes, bytes]]) -> str | None:
    for name, value in headers:
        if name == b"authorization":
            kind, _, rest = value.decode("latin-1").partition(" ")
            return rest.strip() if kind.lower() == "bearer" else None
        if name == b"x-api-key":
            return value.decode("latin-1").strip()
    return None


async def _answer(
    send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]], *,
    kind: bytes | None = b"application/json",
) -> None:  # fmt: skip
    length = [(b"content-length", str(len(body)).encode())]
    typed = [(b"content-type", kind)] if kind else []
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *typed, *length]})
    await send({"type": "http.response.body", "body": body})
