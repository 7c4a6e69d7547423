"""The one chat client: both dialects, concurrent, retried, paced, within a budget, and counted.

A client talks to one endpoint with that endpoint's own key. What it is made of are the chat_*
modules beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Self

import msgspec

from llmops_cli.runtime.chat_budget import (
    BudgetSpent,
    Cap,
    ChatBudget,
    ChatCaps,
    Spend,
    TokenUse,
    require_one_bought,
)
from llmops_cli.runtime.chat_cache import CachedReply, ChatCache, cache_key
from llmops_cli.runtime.chat_connection import ChatConnection
from llmops_cli.runtime.chat_dialects import ChatReply, one_of, spelling_of
from llmops_cli.runtime.chat_endpoint import (
    ChatEndpoint,
    Dialect,
    Message,
    chat_endpoint,
    message,
    require_answer,
)
from llmops_cli.runtime.chat_errors import Unanswered
from llmops_cli.runtime.chat_reading import heard
from llmops_cli.runtime.chat_recording import ChatRecording, RecordedCall, utc_now
from llmops_cli.runtime.chat_request import (
    CHARS_PER_TOKEN,
    ChatRequest,
    Fields,
    bound_of,
    seed_of,
)
from llmops_cli.runtime.chat_sending import FILTER_MARKS, Sender, SendSettings
from llmops_cli.runtime.refusal_fields import Declined, Filtered

__all__ = [
    "CHARS_PER_TOKEN",
    "FILTER_MARKS",
    "Answer",
    "BudgetSpent",
    "Cap",
    "ChatBudget",
    "ChatCache",
    "ChatCaps",
    "ChatClient",
    "ChatEndpoint",
    "ChatRecording",
    "ChatSettings",
    "Declined",
    "Dialect",
    "Filtered",
    "Message",
    "Spend",
    "TokenUse",
    "Unanswered",
    "chat_endpoint",
    "message",
    "require_answer",
    "require_one_bought",
]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a model said, and what that took when it was asked.

    `cost` is None where the endpoint has no prices; of an answer from the cache it is what was
    paid then. `finish_reason` is in OpenAI's words; so are `tool_calls`.
    """

    text: str
    input_tokens: int
    output_tokens: int
    latency_s: float
    finish_reason: str
    is_cached: bool
    cost: float | None
    tool_calls: tuple[Any, ...] = ()  # Any: JSON


class ChatSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a client asks, unless a question says otherwise.

    `rate`: requests a second at most; `tokens_per_min`: of prompts and answers. `retries`: with
    growing pauses. `choices`: the answer is {"choice": one of these}, which servers with a grammar
    see to.
    """

    max_tokens: int | None
    temperature: float | None = 0.0
    seed: int | None = 0
    timeout_s: float = 120.0
    retries: int = 2
    rate: float | None = None
    tokens_per_min: int | None = None
    concurrency: int = 16
    choices: tuple[str, ...] = ()


class ChatClient:
    """Conversations with one endpoint. Use as an async context; `used` counts what was sent.

    Budget, cache and recording may be shared with other clients; who made them closes them.
    """

    def __init__(
        self,
        endpoint: ChatEndpoint,
        settings: ChatSettings,
        *,
        budget: ChatBudget | None = None,
        cache: ChatCache | None = None,
        recording: ChatRecording | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._settings = settings
        self._cache = cache
        self._recording = recording
        self._spelling = spelling_of(endpoint)
        self._connection = ChatConnection(
            endpoint.url,
            endpoint.credentials(),
            concurrency=settings.concurrency,
            timeout_s=settings.timeout_s,
        )
        self._sender = Sender(
            endpoint,
            self._connection,
            SendSettings(
                retries=settings.retries,
                seed=settings.seed or 0,
                rate=settings.rate,
                tokens_per_min=settings.tokens_per_min,
            ),
            budget=budget or ChatBudget(ChatCaps()),
        )

    @property
    def used(self) -> TokenUse:
        """By the server's own counts where it gives them; nothing for answers of the cache."""
        return self._sender.used

    def tell_refusals(self, tell: Callable[[str], None]) -> None:
        """What the server says goes there, of the first request of each kind that it refuses."""
        self._sender.tell_refusals(tell)

    @property
    def first_at(self) -> float | None:
        """Monotonic seconds of the first request."""
        return self._sender.first_at

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(self, *reasons: object) -> None:
        await self._connection.__aexit__(*reasons)

    async def ask(self, messages: Sequence[Message]) -> str:
        """What the model said, and below it its calls of tools. Raises: as `answer`."""
        found = await self.answer(messages)
        if not found.tool_calls:
            return found.text
        calls = msgspec.json.encode(found.tool_calls)
        return f"{found.text}\n{calls.decode()}"

    async def answer(
        self,
        messages: Sequence[Message],
        *,
        seed: int | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
        repeat: int = 0,
        response_format: Fields | None = None,
        tools: Sequence[Fields] | None = None,
    ) -> Answer:
        """One answer; what is None is as in the settings. Messages and tools: OpenAI's form.

        `repeat`: which sample of the same question this is, from 0. The seed that is sent and the
        place in the cache follow from it and from the question, so n samples are n requests, and n
        answers ever after.
        Raises: Unanswered after the last retry; BudgetSpent, which is one; Filtered, Declined.
        """
        settings = self._settings
        base = settings.seed if seed is None else seed
        if settings.choices and response_format is None:
            response_format = one_of(settings.choices)
        request = ChatRequest(
            messages=list(messages),
            max_tokens=settings.max_tokens if max_tokens is None else max_tokens,
            temperature=settings.temperature if temperature is None else temperature,
            seed=None if base is None else seed_of(base, repeat, messages),
            stop=tuple(stop),
            response_format=response_format,
            tools=tuple(tools or ()),
        )
        return await self._answered(request, repeat)

    async def _answered(self, request: ChatRequest, repeat: int) -> Answer:
        """From the cache, or from the endpoint; written down either way."""
        fields = self._spelling.body(self.endpoint.model, request)
        body = msgspec.json.encode(fields)
        url = self.endpoint.url + self._spelling.path
        place = self.endpoint.kept_under or self.endpoint.url
        key = cache_key(place + self._spelling.path, body, repeat=repeat)
        cached = self._cache.get(key) if self._cache is not None else None
        if cached is not None:
            return self._told(cached, url, body, repeat, is_cached=True)
        start = time.monotonic()
        try:
            reply = await self._asked(request, body)
        except (Unanswered, Filtered) as failed:
            self._record_failure(failed, url, body, repeat)
            raise
        found = CachedReply(reply=reply, latency_s=round(time.monotonic() - start, 6))
        if self._cache is not None:
            self._cache.put(key, found)
        return self._told(found, url, body, repeat, is_cached=False)

    async def _asked(self, request: ChatRequest, body: bytes) -> ChatReply:
        """Raises: as `answer`."""
        spelling = self._spelling
        found = await self._sender.send(
            spelling.path,
            body,
            bound_of(request),
            lambda raw: heard(raw, spelling, request),
        )
        if found.refusal is not None:
            raise found.refusal
        return found.reply

    def _told(
        self,
        found: CachedReply,
        url: str,
        body: bytes,
        repeat: int,
        *,
        is_cached: bool,
    ) -> Answer:
        reply = found.reply
        if self._recording is not None:
            call = RecordedCall(
                at=utc_now(),
                url=url,
                request=msgspec.Raw(body),
                repeat=repeat,
                text=reply.text,
                input_tokens=reply.input_tokens,
                output_tokens=reply.output_tokens,
                latency_s=found.latency_s,
                is_cached=is_cached,
            )
            self._recording.append(call)
        prices = self.endpoint.prices
        cost = prices.cost(reply.input_tokens, reply.output_tokens)
        return Answer(
            text=reply.text,
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
            latency_s=found.latency_s,
            finish_reason=reply.finish_reason,
            is_cached=is_cached,
            cost=cost if prices.are_given else None,
            tool_calls=reply.tool_calls,
        )

    def _record_failure(
        self,
        failed: Unanswered | Filtered,
        url: str,
        body: bytes,
        repeat: int,
    ) -> None:
        if self._recording is None:
            return
        kind = failed.kind if isinstance(failed, Unanswered) else "filtered"
        if isinstance(failed, Declined):
            kind = "declined"
        call = RecordedCall(
            at=utc_now(),
            url=url,
            request=msgspec.Raw(body),
            repeat=repeat,
            error=kind,
        )
        self._recording.append(call)
