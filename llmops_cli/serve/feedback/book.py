"""Which request was whose, for as long as it may be rated: on this machine, or in Redis."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.serve.accounts.redis_link import RedisAway, RedisLink
from llmops_cli.serve.answers.cache_file import CacheFile

RATINGS_MOST = 5
"""Of one request: somebody may think again, and nobody fills a disk."""
ROWS_MOST = 1_000_000
BOOK = "asked.db"
VERSION = 2
SCHEMA = """
create table if not exists asked (
  id integer primary key, name text unique not null, until real not null, key text not null,
  model text not null, prompt text not null, upstream text not null, side text not null,
  ratings integer not null default 0
);
create index if not exists asked_until on asked (until)
"""
REMEMBER = """
insert or replace into asked (name, until, key, model, prompt, upstream, side)
values (?, ?, ?, ?, ?, ?, ?)
"""
FIND = "select key, model, prompt, upstream, side from asked where name = ? and until > ?"
FORGET = "delete from asked where name = ?"
COUNT = "update asked set ratings = ratings + 1 where name = ? and ratings < ? returning ratings"
FORGET_OLD = """
delete from asked where
  id in (select id from asked where until < ? order by until limit 8)
  or id <= (select max(id) from asked) - ?
"""
"""Some with each new one, so that nobody waits for many."""
COUNT_SHARED = """
local count = redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[1])
return count
"""


class AskedRequest(msgspec.Struct, frozen=True):
    """`key`: its id. `prompt`: NAME@VERSION. `upstream`, `side`: who answered, but for a cache."""

    key: str
    model: str
    prompt: str = ""
    upstream: str = ""
    side: str = ""


class AskedBook(Protocol):
    async def remember(self, request: str, asked: AskedRequest) -> None: ...

    async def forget(self, request: str) -> None: ...

    async def find(self, request: str) -> AskedRequest | None:
        """None: there is no such request, or none that may still be rated."""
        ...

    async def count(self, request: str) -> bool:
        """Whether one more rating of it is taken."""
        ...

    def close(self) -> None: ...


class LocalBook:
    """A file that all workers write."""

    def __init__(self, folder: Path, *, keep_s: float) -> None:
        """Raises: EnvironmentMissing if nothing can be kept there."""
        self._file = CacheFile(folder / BOOK, SCHEMA, version=VERSION)
        self._keep_s = keep_s

    async def remember(self, request: str, asked: AskedRequest) -> None:
        until = time.time() + self._keep_s
        self._file.run(REMEMBER, (request, until, *msgspec.structs.astuple(asked)))
        self._file.run(FORGET_OLD, (time.time(), ROWS_MOST))

    async def forget(self, request: str) -> None:
        self._file.run(FORGET, (request,))

    async def find(self, request: str) -> AskedRequest | None:
        rows = self._file.rows(FIND, (request, time.time()))
        return AskedRequest(*rows[0]) if rows else None

    async def count(self, request: str) -> bool:
        return bool(self._file.rows(COUNT, (request, RATINGS_MOST)))

    def close(self) -> None:
        self._file.close()


class SharedBook:
    """In Redis; while it is away nothing is remembered, and nothing can be rated."""

    def __init__(self, link: RedisLink, *, keep_s: float) -> None:
        self._link = link
        self._keep_s = keep_s

    async def remember(self, request: str, asked: AskedRequest) -> None:
        try:
            name = self._link.name("asked", request)
            await self._link.set(name, msgspec.json.encode(asked), self._keep_s)
        except RedisAway:
            return

    async def forget(self, request: str) -> None:
        """What is left of it is gone in a second."""
        with suppress(RedisAway):
            await self._link.set(self._link.name("asked", request), b"", 1)

    async def find(self, request: str) -> AskedRequest | None:
        try:
            raw = await self._link.get(self._link.name("asked", request))
            return None if raw is None else msgspec.json.decode(raw, type=AskedRequest)
        except (RedisAway, *UNREADABLE):
            return None

    async def count(self, request: str) -> bool:
        try:
            name = self._link.name("ratings", request)
            count = await self._link.run(COUNT_SHARED, [name], [int(self._keep_s)])
        except RedisAway:
            return False
        return int(count) <= RATINGS_MOST

    def close(self) -> None:
        pass
