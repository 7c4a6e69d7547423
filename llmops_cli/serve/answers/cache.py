"""Answers given before: of the very same request, or of one that means the same. Never across keys.

An entry's name is a digest of the key's id, the model and everything in the body that can change
the answer, so that two tenants, or two temperatures, have no name in common.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from llmops_cli.serve.accounts.redis_link import RedisAway, RedisLink
from llmops_cli.serve.answers.facts import CHARS_MOST, facts_of, words_of

LOG = logging.getLogger("llmops.gateway")
Json = dict[str, Any]  # Any: a body
IDLE = frozenset(
    ("stream", "stream_options", "user", "metadata", "store", "safety_identifier", "service_tier")
)
"""Fields of a body that change nothing of what is answered."""
ENTRY_MOST = 1 << 20
BYTES_MOST = 512 << 20
SWEEP_S = 30.0
STALE_S = 7 * 86_400.0
SCHEMA = """
create table if not exists answers (name text primary key, until real not null, body blob not null)
without rowid
"""
FORGET_OLDEST_HALF = """
delete from answers where until < (
  select until from answers order by until limit 1 offset (select count(*) / 2 from answers)
)
"""


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
    messages = matters.get("messages")
    if not isinstance(messages, list) or not messages or not isinstance(messages[-1], dict):
        return "", matters
    last = messages[-1]
    text = last.get("content")
    if last.get("role") != "user" or not isinstance(text, str) or len(text) > CHARS_MOST:
        return "", matters
    facts = {**last, "content": facts_of(text)}
    return text, {**matters, "messages": [*messages[:-1], facts]}


def _digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


class LocalStore:
    """A file beside the gateway's database, which may be deleted at any time."""

    def __init__(self, folder: Path) -> None:
        path = folder / "cache.db"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            path.touch(mode=0o600)
        self._db = sqlite3.connect(path, timeout=2, isolation_level=None)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma cache_size=-1024")
        # A cache may lose its last entries with the power.
        self._db.execute("pragma synchronous=off")
        self._db.execute(SCHEMA)
        self._swept = time.monotonic()

    async def get(self, name: str) -> CachedAnswer | None:
        try:
            found = self._db.execute("select until, body from answers where name = ?", (name,))
            row = found.fetchone()
        except sqlite3.Error as error:
            LOG.warning("the cache cannot be read: %s", error)
            return None
        if row is None:
            return None
        until, body = row
        return CachedAnswer(body, until - time.time())

    async def put(
        self,
        name: str,
        body: bytes,
        ttl_s: float,
    ) -> None:
        try:
            row = (name, time.time() + ttl_s, body)
            self._db.execute("insert or replace into answers values (?, ?, ?)", row)
            if time.monotonic() - self._swept > SWEEP_S:
                self._swept = time.monotonic()
                self._sweep()
        except sqlite3.Error as error:
            LOG.warning("the cache cannot be written: %s", error)

    def _sweep(self) -> None:
        """What is long stale goes, and the oldest half when there is too much."""
        self._db.execute("delete from answers where until < ?", (time.time() - STALE_S,))
        if self._size_bytes() > BYTES_MOST:
            self._db.execute(FORGET_OLDEST_HALF)

    def _size_bytes(self) -> int:
        pages = self._pragma("page_count") - self._pragma("freelist_count")
        return pages * self._pragma("page_size")

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"pragma {name}").fetchone()[0])

    def close(self) -> None:
        self._db.close()


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
        return CachedAnswer(body, float(until) - time.time())

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
