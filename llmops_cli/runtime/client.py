"""Plain chat calls to OpenAI-style servers, for scoring answers. Timing is the bench's business."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec


class Client:
    """Connections to one server, kept open between requests."""

    def __init__(self, session: aiohttp.ClientSession, url: str, model: str) -> None:
        self._session, self._url, self.model = session, url, model

    async def chat(self, messages: list[dict[str, str]], **fields: object) -> str:
        """The answer's text. Raises: aiohttp.ClientError or RuntimeError with the server's words."""
        body = {"model": self.model, "messages": messages, **fields}
        async with self._session.post(
            f"{self._url}/v1/chat/completions",
            data=msgspec.json.encode(body),
            headers={"Content-Type": "application/json"},
        ) as response:
            raw = await response.read()
            if response.status != 200:
                raise RuntimeError(f"HTTP {response.status}: {raw[:200].decode(errors='replace')}")
            return str(msgspec.json.decode(raw)["choices"][0]["message"]["content"])


@asynccontextmanager
async def connect(url: str, model: str, *, timeout_s: float) -> AsyncIterator[Client]:
    timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield Client(session, url, model)
