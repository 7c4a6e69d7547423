"""Upstreams without a network: each origin is one that a test scripts, and remembers who came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.prompt_file.prompt import Prompt
from llmops_cli.serve.accounts.bucket_file import BucketFile, MachineLimiter
from llmops_cli.serve.accounts.local_budgets import LocalBudgets
from llmops_cli.serve.answers.admitted import AdmittedRequest
from llmops_cli.serve.answers.cache import LocalStore
from llmops_cli.serve.answers.cached import AnswerCache
from llmops_cli.serve.answers.handler import RequestHandler
from llmops_cli.serve.answers.semantic import Meanings
from llmops_cli.serve.context import RequestContext
from llmops_cli.serve.door.body import parse
from llmops_cli.serve.endpoints import CHAT, COUNT_TOKENS, MODERATIONS, Endpoint
from llmops_cli.serve.judging.judging import Judging
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.snapshot import Snapshot
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.upstreams.errors import UpstreamError
from llmops_cli.serve.upstreams.origin import Origin
from llmops_cli.serve.upstreams.wire import AnswerTranslation
from llmops_cli.serve.watch.metrics import Metrics

Json = dict[str, Any]  # Any: OpenAI's fields
USAGE = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}


class Opened(NamedTuple):
    """One time that a body left: to whom, and for which model."""

    upstream: str
    model: str
    path: str
    body: bytes


class Script(NamedTuple):
    """What an upstream does: its status (0: the connection breaks), after so long.

    `raw`: the body in so many words, of the type `kind`.
    """

    status: int = 200
    after_s: float = 0.0
    finish: str = "stop"
    words: str = "Hello"
    raw: bytes | None = None
    kind: bytes = b"application/json"


Scripts = Callable[[Opened], Script]


class ScriptedReply:
    """An answer whose body is there already."""

    complete = True
    was_paused = False
    redirect_host = "elsewhere"

    def __init__(self, status: int, body: bytes, kind: bytes) -> None:
        self.status = status
        self.headers = [(b"content-type", kind)]
        self._body = body
        self.is_stream = kind.startswith(b"text/event-stream")

    def in_chat(self, translation: AnswerTranslation) -> None:
        """As a wire has it translated. Raises: UpstreamError."""
        if self.is_stream and self.status == 200:
            self._body = translation.feed(self._body) + translation.finish()
        else:
            self._body = translation.whole(self.status, self._body)

    def usage_so_far(self) -> bytes:
        return b""

    def expect_end(self) -> None:
        pass

    def last_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def begun(self) -> None:
        pass

    async def read(self) -> bytes:
        return self._body

    def peek(self) -> bytes:
        return self._body

    async def more(self) -> bool:
        return False

    async def chunks(self) -> Any:  # Any: an asynchronous iterator
        yield self._body


class ScriptedOrigin:
    """An origin that is never connected to."""

    def __init__(self, name: str, origin: Origin, gateway: ScriptedGateway) -> None:
        self._name = name
        self._origin = origin
        self._gateway = gateway

    def __getattr__(self, name: str) -> Any:  # Any: whatever the origin has
        return getattr(self._origin, name)

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes,
        *_: object,
        translation: AnswerTranslation | None = None,
        **__: object,
    ) -> ScriptedReply:
        assert method == "POST"
        asked = msgspec.json.decode(body)
        opened = Opened(self._name, asked["model"], path, body)
        self._gateway.opened.append(opened)
        script = self._gateway.scripts(opened)
        await asyncio.sleep(script.after_s)
        if not script.status:
            raise UpstreamError("cannot be reached")
        reply = _reply(script, asked, path)
        if translation is not None:
            reply.in_chat(translation)
        return reply

    def release(self, reply: ScriptedReply) -> None:
        pass


def _reply(script: Script, asked: Json, path: str) -> ScriptedReply:
    json = b"application/json"
    if script.raw is not None:
        return ScriptedReply(script.status, script.raw, script.kind)
    if script.status != 200:
        return ScriptedReply(script.status, b'{"error":{"message":"no"}}', json)
    if path == "/tokenize":
        return ScriptedReply(200, b'{"count":5}', json)
    if path.endswith("/embeddings"):
        data = [{"index": 0, "embedding": [1.0, 2.0]}]
        return ScriptedReply(200, msgspec.json.encode({"data": data, "usage": USAGE}), json)
    head = {"id": "x", "created": 1, "model": asked["model"]}
    is_chat = path.endswith("/chat/completions")
    if asked.get("stream"):
        choice: Json = {"index": 0, "finish_reason": None, "text": script.words}
        last: Json = {"index": 0, "finish_reason": script.finish, "text": ""}
        if is_chat:
            choice["delta"] = {"content": choice.pop("text")}
            last["delta"] = {"content": last.pop("text")}
        chunks = [{**head, "choices": [choice]}, {**head, "choices": [last]}]
        events = [b"data: %b\n\n" % msgspec.json.encode(chunk) for chunk in chunks]
        body = b"".join([*events, b"data: [DONE]\n\n"])
        return ScriptedReply(200, body, b"text/event-stream")
    choice = {"index": 0, "text": script.words, "finish_reason": script.finish}
    if is_chat:
        choice["message"] = {"role": "assistant", "content": choice.pop("text")}
    if asked.get("logprobs"):
        choice["logprobs"] = {"content": [{"token": script.words, "logprob": -3.0}]}
    whole = {**head, "object": "chat.completion", "choices": [choice], "usage": USAGE}
    return ScriptedReply(200, msgspec.json.encode(whole), json)


class Answered(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes
    code: str = ""


class ScriptedGateway:
    """All between the door and the origins, real."""

    def __init__(self, folder: Path) -> None:
        self.opened: list[Opened] = []
        self.scripts: Scripts = lambda _: Script()
        self.metrics = Metrics()
        self._folder = folder
        self._limiter = MachineLimiter(BucketFile(folder))
        self._canaries = Canaries(folder)
        store = LocalStore(folder)
        self._judging = Judging()
        self.budgets = LocalBudgets(folder)
        self.handler = RequestHandler(
            budgets=self.budgets,
            cache=AnswerCache(store, lambda: Meanings(folder)),
            metrics=self.metrics,
            judging=self._judging,
        )
        self.snapshot: Snapshot | None = None

    def configure(
        self,
        config: GatewayConfig,
        prompts: Sequence[Prompt] = (),
        *,
        policy: str | None = None,
    ) -> Snapshot:
        """As a reload does it."""
        self._canaries.configure(config.models)
        self.snapshot = Snapshot(
            config,
            urls={},
            policy=policy,
            limiter=self._limiter,
            canaries=self._canaries,
            metrics=self.metrics,
            prompts=prompts,
        )
        for upstream in self.snapshot.all():
            origin: Any = ScriptedOrigin(upstream.name, upstream.origin, self)
            upstream.origin = origin
        return self.snapshot

    async def ask(
        self,
        body: Json,
        *,
        endpoint: Endpoint = CHAT,
        **asked: Any,  # Any: fields of Asked
    ) -> Answered:
        """What a client gets. Copies under way have ended."""
        assert self.snapshot is not None
        context = RequestContext(endpoint.path, endpoint)
        dialect = endpoint.dialect()
        sent: list[MutableMapping[str, Any]] = []

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        for name, value in asked.items():
            setattr(context.asked, name, value)
        try:
            parse(msgspec.json.encode(body), context.asked, dialect)
            request = AdmittedRequest(self.snapshot, context, dialect, send)
            if endpoint is COUNT_TOKENS:
                await self.handler.count(request)
            elif endpoint is MODERATIONS:
                await self.handler.moderate(request, set())
            else:
                await self.handler.handle(request, set())
        except Refusal as refusal:
            return Answered(refusal.status, dict(refusal.headers), refusal.body(), refusal.code)
        finally:
            await self._judging.pool.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*others, return_exceptions=True)
        said = b"".join(message.get("body", b"") for message in sent)
        return Answered(sent[0]["status"], dict(sent[0]["headers"]), said)
