"""Answers given before: of the very same request, or of one that means the same. Never across keys.

An entry's name is a digest of the key's id, the model and everything in the body that can change
the answer, so that two tenants, or two temperatures, have no name in common.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from llmops_cli.serve.accounts.redis_link import RedisAway, RedisLink
from llmops_cli.serve.answers.cache_file import ANSWERS, ANSWERS_SCHEMA, VERSION, CacheFile
from llmops_cli.serve.answers.facts import CHARS_MOST, facts_of, words_of

Json = dict[str, Any]  # Any: a body
IDLE = frozenset(
    ("stream", "stream_options", "user", "metadata", "store", "safety_identifier", "service_tier")
)
"""Fields of a body that change nothing of what is answered."""
ENTRY_MOST = 1 << 20
BYTES_MOST = 512 << 20
STALE_S = 7 * 86_400.0
OLDEST = "select name, length(body), until from answers order by until limit ?"
STALE_AT_ONCE = 8
OLD_AT_ONCE = 256
"""Entries that go with a new one, at most: to forget many at once takes seconds."""
FREED_TIMES = 2
"""The size of a new entry, of old ones that go with it where there is too much."""


class CachedAnswer(NamedTuple):
    """`body` is the answer as one JSON object; `left_s`: until its time is over."""

    body: bytes
    left_s: float

    @property
    def stale(self) -> bool:
        return self.left_s < 0


class Store(Protocol):
    """Where entries are kept: the embedded database, or Redis."""

    async def get(self, name: str) -> CachedAnswer | None: ...

    async def put(
        self,
        name: str,
        body: bytes,
        ttl_s: float,
    ) -> None: ...


class Question(NamedTuple):
    """A request as the caches see it.

    `text` may be answered by meaning within `partition`; empty: it may not. `words`: its own, which
    tell whether another text is another wording of it.
    """

    name: str
    partition: str
    text: str
    words: Sequence[bytes]


def question(
    body: Json,
    *,
    tenant: str,
    route: str,
    alias: str,
    policy: str,
    sources: Sequence[bytes],
    by_meaning: bool = True,
) -> Question:
    """`body` as sent, decoded; `policy`: a digest of the guard's; `sources`: who would answer.

    `by_meaning`: the answer of another wording will do.
    """
    matters = {name: value for name, value in body.items() if name not in IDLE}
    matters["model"] = alias
    base = [tenant, route, policy, [source.decode() for source in sources]]
    if not by_meaning:
        return Question(_digest([*base, matters]), "", "", ())
    text, rest = _apart(matters)
    return Question(_digest([*base, matters]), _digest([*base, rest]), text, words_of(text))


def _apart(matters: Json) -> tuple[str, Json]:
    """(the last thing that the user says, the rest with nothing of it but its facts)."""
    text = asked_last(matters.get("messages"))
    if not text:
        return "", matters
    messages = matters["messages"]
    facts = {**messages[-1], "content": facts_of(text)}
    return text, {**matters, "messages": [*messages[:-1], facts]}


def asked_last(messages: object) -> str:
    """What a user says last in a chat, if it is a text that is looked up by its meaning."""
    if not isinstance(messages, list) or not messages or not isinstance(messages[-1], dict):
        return ""
    last = messages[-1]
    text = last.get("content")
    if last.get("role") != "user" or not isinstance(text, str) or len(text) > CHARS_MOST:
        return ""
    return text


def _digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


class LocalStore:
    """A file beside the gateway's database, which may be deleted at any time."""

    def __init__(self, folder: Path) -> None:
        """Raises: EnvironmentMissing if nothing can be kept there."""
        self._file = CacheFile(folder / ANSWERS, ANSWERS_SCHEMA, version=VERSION)

    async def get(self, name: str) -> CachedAnswer | None:
        rows = self._file.rows("select until, body from answers where name = ?", (name,))
        if not rows:
            return None
        until, body = rows[0]
        return CachedAnswer(body, until - time.time())

    async def put(
        self,
        name: str,
        body: bytes,
        ttl_s: float,
    ) -> None:
        row = (name, time.time() + ttl_s, body)
        self._file.run("insert or replace into answers values (?, ?, ?)", row)
        self._forget(FREED_TIMES * len(body))

    def _forget(self, size: int) -> None:
        """Some of the oldest: what is long stale, and so many bytes of others if there is too much.

        A little with each new entry, so that nobody waits for much at once.
        """
        stale = time.time() - STALE_S
        is_full = self._size_bytes() > BYTES_MOST
        left = size if is_full else 0
        gone = []
        looked_at = OLD_AT_ONCE if is_full else STALE_AT_ONCE
        for name, length, until in self._file.rows(OLDEST, (looked_at,)):
            if until >= stale and left <= 0:
                break
            gone.append(name)
            left -= length
        if gone:
            marks = ", ".join("?" * len(gone))
            self._file.run(f"delete from answers where name in ({marks})", gone)

    def _size_bytes(self) -> int:
        pages = self._pragma("page_count") - self._pragma("freelist_count")
        return pages * self._pragma("page_size")

    def _pragma(self, name: str) -> int:
        rows = self._file.rows(f"pragma {name}")
        return int(rows[0][0]) if rows else 0

    def close(self) -> None:
        self._file.close()


class SharedStore:
    """In Redis, so that several gateways have one cache."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def get(self, name: str) -> CachedAnswer | None:
        try:
            raw = await self._link.get(self._link.name("answer", name))
        except RedisAway:
            return None
        if raw is None:
            return None
        until, _, body = raw.partition(b" ")
        try:
            return CachedAnswer(body, float(until) - time.time())
        except ValueError:
            return None  # somebody else's value

    async def put(
        self,
        name: str,
        body: bytes,
        ttl_s: float,
    ) -> None:
        try:
            value = f"{time.time() + ttl_s:.3f} ".encode() + body
            await self._link.set(self._link.name("answer", name), value, ttl_s + 3600)
        except RedisAway:
            return
