"""Conversations with one target over the OpenAI chat API: concurrent, retried, paced, and
counted.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Any

import msgspec

CHARS_PER_TOKEN = 4
RETRY_STATUSES = (408, 409, 425, 429, 500, 502, 503, 504)
FILTERED = (400, 403, 422, 451)
BACKOFF_S = 0.5
LONGEST_WAIT_S = 30.0


class Failed(Exception):
    """A request that gave no answer: `kind` is what the report counts."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Stopped(Exception):
    """A filter in front of the target refused the message: an attack that did not get through."""


class Spent(msgspec.Struct):
    """What was used so far."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Client:
    """One target. `spent` counts; `rate` is requests a second. Use as an async context."""

    def __init__(
        self,
        url: str,
        model: str,
        *,
        headers: Mapping[str, str],
        max_tokens: int,
        temperature: float,
        seed: int,
        timeout_s: float,
        retries: int,
        rate: float | None,
        concurrency: int,
    ) -> None:
        self._url = f"{url.rstrip('/')}/v1/chat/completions"
        self._model = model
        self._headers = dict(headers)
        self._fields = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
        self._timeout_s = timeout_s
        self._retries = retries
        self._rate = rate
        self._concurrency = concurrency
        self._next_at = 0.0
        self._jitter = random.Random(seed)
        self.spent = Spent()
        self.first_at: float | None = None

    async def __aenter__(self) -> Client:
        import aiohttp

        connector = aiohttp.TCPConnector(limit=self._concurrency, ttl_dns_cache=300)
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            headers=self._headers,
            trust_env=False,
            auto_decompress=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def say(self, messages: list[dict[str, str]]) -> str:
        """The answer. Raises: Failed after the last retry."""
        body = msgspec.json.encode({"model": self._model, "messages": messages, **self._fields})
        for attempt in range(self._retries + 1):
            await self._pace()
            try:
                return await self._once(body, messages)
            except _Again as again:
                if attempt == self._retries:
                    raise Failed(again.kind) from None
                wait = again.after_s or BACKOFF_S * 2**attempt
                await asyncio.sleep(min(wait, LONGEST_WAIT_S) * (0.75 + self._jitter.random() / 2))
        raise Failed("retries")

    async def _once(self, body: bytes, messages: list[dict[str, str]]) -> str:
        import aiohttp

        self.first_at = self.first_at or time.monotonic()
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
            ) as reply:
                raw = await reply.read()
                if reply.status in RETRY_STATUSES:
                    raise _Again(f"http {reply.status}", _seconds(reply.headers.get("Retry-After")))
                if reply.status in FILTERED and (
                    b"content_filter" in raw or b"content policy" in raw
                ):
                    raise Stopped
                if reply.status != 200:
                    raise Failed(f"http {reply.status}")
        except (TimeoutError, aiohttp.ServerTimeoutError):
            raise _Again("timeout", None) from None
        except aiohttp.ClientError as error:
            raise _Again(type(error).__name__, None) from None
        return self._answer(raw, messages)

    def _answer(self, raw: bytes, messages: list[dict[str, str]]) -> str:
        try:
            answer = msgspec.json.decode(raw)
            message = answer["choices"][0]["message"]
            text = str(message.get("content") or "")
            if calls := message.get("tool_calls"):
                text += "\n" + msgspec.json.encode(calls).decode()
        except (msgspec.DecodeError, KeyError, IndexError, TypeError, AttributeError):
            raise Failed("no answer in the reply") from None
        used: dict[str, Any] = answer.get("usage") or {}  # Any: the server's own fields
        asked = sum(len(message["content"]) for message in messages)
        self.spent.requests += 1
        self.spent.input_tokens += int(used.get("prompt_tokens") or asked // CHARS_PER_TOKEN)
        self.spent.output_tokens += int(
            used.get("completion_tokens") or len(text) // CHARS_PER_TOKEN
        )
        return text

    async def _pace(self) -> None:
        if self._rate is None:
            return
        now = time.monotonic()
        self._next_at = max(self._next_at, now) + 1 / self._rate
        if (wait := self._next_at - 1 / self._rate - now) > 0:
            await asyncio.sleep(wait)


class _Again(Exception):
    def __init__(self, kind: str, after_s: float | None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.after_s = after_s


def _seconds(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None
