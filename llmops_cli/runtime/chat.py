"""The one chat client: OpenAI's dialect, concurrent, retried, paced, and counted.

A client talks to one endpoint with that endpoint's own key. It follows no redirect, so that the key
goes to no other host.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from typing import Any, Self

import msgspec

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.urls import server_url
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.keys import bearer
from llmops_cli.runtime.refusal_fields import Declined, Filtered, require_said

__all__ = [
    "ChatClient",
    "ChatEndpoint",
    "ChatSettings",
    "Declined",
    "Filtered",
    "Message",
    "Unanswered",
    "chat_endpoint",
    "message",
    "require_answer",
]

CHARS_PER_TOKEN = 4
"""Where a server does not count, and for forecasts."""
RETRY_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
FILTER_STATUSES = frozenset({400, 403, 422, 451})
FILTER_MARKS = (b"content_filter", b"content policy")
BACKOFF_S = 0.5
LONGEST_WAIT_S = 30.0
ANSWER_TIMEOUT_S = 10.0

UNREADABLE = (
    msgspec.DecodeError,
    UnicodeDecodeError,
    RecursionError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
)
"""What reading a reply of another form, or a hostile one, raises."""

Message = dict[str, str]


def message(role: str, content: str) -> Message:
    """One message of a conversation."""
    return {"role": role, "content": content}


class Unanswered(Exception):
    """A request that gave no answer. `kind` is what reports count: `timeout`, `http 500`, ..."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class ChatEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where one model answers, and the key for that place alone."""

    url: str
    model: str
    key: str = ""

    def __repr__(self) -> str:
        return f"ChatEndpoint(url={self.url!r}, model={self.model!r})"


def chat_endpoint(
    url: str,
    model: str,
    *,
    key: str = "",
    field: str = "url",
) -> ChatEndpoint:
    """An endpoint by its base URL, with or without /v1.

    `field` names the URL in errors. Raises: UsageError for no http(s) URL, or one with secrets.
    """
    base = server_url(url, field=field)
    return ChatEndpoint(url=base, model=model, key=key)


def require_answer(endpoint: ChatEndpoint, *, field: str = "url") -> None:
    """Raises: EnvironmentMissing if nothing listens there; any answer will do."""
    http = Http(bearer(endpoint.key))
    status = http.status(f"{endpoint.url}/v1/models", timeout_s=ANSWER_TIMEOUT_S)
    if isinstance(status, str):
        flag = field.replace("_", "-")
        raise EnvironmentMissing(
            f"nothing answers at {endpoint.url}: {status}",
            hint=f"start the server, or check --{flag}",
        )


class ChatSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a client asks. `rate`: requests a second at most. `retries`: with growing pauses.

    `choices`: the answer is {"choice": one of these}, which servers with a grammar see to.
    """

    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    timeout_s: float = 120.0
    retries: int = 2
    rate: float | None = None
    concurrency: int = 16
    choices: tuple[str, ...] = ()


class TokenUse(msgspec.Struct):
    """What was used so far, by the server's own counts where it gives them."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class ChatClient:
    """Conversations with one endpoint. Use as an async context; `used` counts."""

    def __init__(self, endpoint: ChatEndpoint, settings: ChatSettings) -> None:
        self._endpoint = endpoint
        self._settings = settings
        self._next_at = 0.0
        self._jitter = random.Random(settings.seed)
        self.used = TokenUse()
        self.first_at: float | None = None
        """Monotonic seconds of the first request."""

    async def __aenter__(self) -> Self:
        import aiohttp

        headers = {"Content-Type": "application/json"}
        if self._endpoint.key:
            headers["Authorization"] = f"Bearer {self._endpoint.key}"
        settings = self._settings
        connector = aiohttp.TCPConnector(limit=settings.concurrency, ttl_dns_cache=300)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=settings.timeout_s),
            headers=headers,
            trust_env=False,
            auto_decompress=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, messages: list[Message]) -> str:
        """The answer. Raises: Unanswered after the last retry; Filtered."""
        body = self._body(messages)
        retries = self._settings.retries
        for attempt in range(retries + 1):
            await self._pace()
            try:
                raw = await self._once(body)
            except _Retry as retry:
                if attempt == retries:
                    raise Unanswered(retry.kind) from None
                pause_s = self._pause_s(attempt, retry.after_s)
                await asyncio.sleep(pause_s)
            else:
                return self._read(raw, messages)
        raise Unanswered("retries")

    def _body(self, messages: list[Message]) -> bytes:
        settings = self._settings
        body: dict[str, object] = {
            "model": self._endpoint.model,
            "messages": messages,
            "max_tokens": settings.max_tokens,
            "temperature": settings.temperature,
            "seed": settings.seed,
        }
        if settings.choices:
            body["response_format"] = _one_of(settings.choices)
        return msgspec.json.encode(body)

    def _pause_s(self, attempt: int, asked_s: float | None) -> float:
        pause_s = asked_s or BACKOFF_S * 2**attempt
        spread = 0.75 + self._jitter.random() / 2
        return min(pause_s, LONGEST_WAIT_S) * spread

    async def _once(self, body: bytes) -> bytes:
        import aiohttp

        if self.first_at is None:
            self.first_at = time.monotonic()
        url = f"{self._endpoint.url}/v1/chat/completions"
        try:
            async with self._session.post(url, data=body, allow_redirects=False) as reply:
                raw = await reply.read()
        except TimeoutError:
            raise _Retry("timeout", None) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _Retry(type(error).__name__, None) from None
        if reply.status in RETRY_STATUSES:
            after_s = _seconds(reply.headers.get("Retry-After"))
            raise _Retry(f"http {reply.status}", after_s)
        is_marked = any(mark in raw for mark in FILTER_MARKS)
        if is_marked and reply.status in FILTER_STATUSES:
            raise Filtered
        if reply.status != 200:
            raise Unanswered(f"http {reply.status}")
        return raw

    def _read(self, raw: bytes, messages: list[Message]) -> str:
        try:
            answer = msgspec.json.decode(raw)
            require_said(answer)
            said = answer["choices"][0]["message"]
            text = str(said.get("content") or "")
            calls = said.get("tool_calls")
            usage = answer.get("usage")
        except UNREADABLE:
            raise Unanswered("no answer in the reply") from None
        if calls:
            encoded = msgspec.json.encode(calls)
            text += "\n" + encoded.decode()
        self._count(usage, messages, text)
        return text

    def _count(
        self,
        usage: Any,
        messages: list[Message],
        text: str,
    ) -> None:  # Any: the server's own field
        asked_chars = sum(len(part["content"]) for part in messages)
        guessed_input = asked_chars // CHARS_PER_TOKEN
        guessed_output = len(text) // CHARS_PER_TOKEN
        self.used.requests += 1
        self.used.input_tokens += _counted(usage, "prompt_tokens") or guessed_input
        self.used.output_tokens += _counted(usage, "completion_tokens") or guessed_output

    async def _pace(self) -> None:
        rate = self._settings.rate
        if rate is None:
            return
        now = time.monotonic()
        turn_at = max(self._next_at, now)
        self._next_at = turn_at + 1 / rate
        if turn_at > now:
            await asyncio.sleep(turn_at - now)


def _one_of(choices: tuple[str, ...]) -> dict[str, object]:
    """The JSON schema of an object that has one of these."""
    schema = {
        "type": "object",
        "properties": {"choice": {"type": "string", "enum": list(choices)}},
        "required": ["choice"],
        "additionalProperties": False,
    }
    named = {"name": "choice", "strict": True, "schema": schema}
    return {"type": "json_schema", "json_schema": named}


class _Retry(Exception):
    """A request worth asking again, after so many seconds if the server said how many."""

    def __init__(self, kind: str, after_s: float | None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.after_s = after_s


def _counted(usage: Any, name: str) -> int:  # Any: the server's own field
    """The server's count; 0 where it is none."""
    if not isinstance(usage, dict):
        return 0
    count = usage.get(name)
    if not isinstance(count, int) or count < 0:
        return 0
    return count


def _seconds(text: str | None) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        return None
    if not math.isfinite(seconds):
        return None
    return max(0.0, seconds)
