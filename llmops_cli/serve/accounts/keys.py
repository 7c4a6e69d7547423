"""API keys: random, shown once, kept as SHA-256; looked up in memory, the database's changes seen
within a second.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.serve.state import connect

PREFIX = "llmops_"
ASKING = ("chat", "completions", "embeddings", "models", "moderations", "responses", "messages")
ROLES = {
    "user": ASKING,
    "admin": (*ASKING, "metrics", "admin"),
    "metrics": ("metrics",),
}
"""Role -> what its keys may call."""
REFRESH_S = 0.5
FIELDS = (
    "id, name, role, models, created, expires, revoked, requests_per_minute, tokens_per_minute, streams,"
    " budget_dollars, budget_tokens"
)


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key, which is not the key. Times are seconds since 1970; an empty `models`
    means all.
    """

    id: str
    name: str
    role: str
    models: list[str]
    created: float
    expires: float | None = None
    revoked: float | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    streams: int | None = None
    budget_dollars: float | None = None
    budget_tokens: int | None = None

    def may(self, scope: str) -> bool:
        return scope in ROLES.get(self.role, ())

    def serves(self, model: str) -> bool:
        return not self.models or model in self.models


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


class KeyStore:
    """The keys of one state folder."""

    def __init__(self, folder: Path) -> None:
        self._db = connect(folder)
        self._by_hash: dict[bytes, Key] = {}
        self._version = -1
        self._checked = 0.0

    # -- managing
    # --------------------------------------------------------------------------------------

    def create(
        self,
        name: str,
        *,
        role: str = "user",
        models: list[str] | None = None,
        expires: float | None = None,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        streams: int | None = None,
        budget_dollars: float | None = None,
        budget_tokens: int | None = None,
    ) -> tuple[str, Key]:
        """(the key, never seen again; what is kept of it). Raises: UsageError for a name in use or
        a bad role.
        """
        if role not in ROLES:
            raise unknown_name("role", role, ROLES)
        if not name.strip() or not name.isprintable() or len(name) > 100:
            raise UsageError("a key needs a name", hint="--name team-search")
        secret = PREFIX + secrets.token_urlsafe(32)
        key = Key(
            id=secrets.token_hex(6),
            name=name,
            role=role,
            models=models or [],
            created=time.time(),
            expires=expires,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            streams=streams,
            budget_dollars=budget_dollars,
            budget_tokens=budget_tokens,
        )
        try:
            self._db.execute(
                f"insert into keys ({FIELDS}, hash) values (?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (*_row(key), digest(secret)),
            )
        except sqlite3.IntegrityError:
            raise UsageError(
                f"there is a key named {name}", hint=f"llmops keys rotate {name}, or revoke it"
            ) from None
        return secret, key

    def all(self) -> list[Key]:
        return [
            _key(row) for row in self._db.execute(f"select {FIELDS} from keys order by created")
        ]

    def rotate(self, name: str) -> tuple[str, Key]:
        """A new secret for the same name and rights; the old one stops at once."""
        old = self._live(name)
        secret = PREFIX + secrets.token_urlsafe(32)
        self._db.execute("update keys set hash = ? where id = ?", (digest(secret), old.id))
        return secret, old

    def revoke(self, name: str) -> Key:
        old = self._live(name)
        self._db.execute("update keys set revoked = ? where id = ?", (time.time(), old.id))
        return msgspec.structs.replace(old, revoked=time.time())

    def _live(self, name: str) -> Key:
        found = [key for key in self.all() if key.revoked is None]
        key = next((key for key in found if name in (key.name, key.id)), None)
        if key is None:
            raise unknown_name("key", name, [key.name for key in found])
        return key

    # -- serving
    # ---------------------------------------------------------------------------------------

    def find(self, secret: str) -> Key | None:
        """The live key, by its digest, so that no comparison takes longer the more of a key is
        right.
        """
        now = time.monotonic()
        if now - self._checked > REFRESH_S:
            self._checked = now
            self._refresh()
        hashed = digest(secret)
        key = self._by_hash.get(hashed)
        if (
            key is None
        ):  # it may be a minute old, or none: to ask whether anything has changed takes microseconds
            self._refresh()
            key = self._by_hash.get(hashed)
        return (
            None if key is None or (key.expires is not None and key.expires <= time.time()) else key
        )

    def _refresh(self) -> None:
        """Reads the keys again if another connection has changed the database."""
        version = self._db.execute("pragma data_version").fetchone()[0]
        if version != self._version:
            self._version = version
            rows = self._db.execute(f"select {FIELDS}, hash from keys where revoked is null")
            self._by_hash = {row[-1]: _key(row[:-1]) for row in rows}

    def __len__(self) -> int:
        return int(
            self._db.execute("select count(*) from keys where revoked is null").fetchone()[0]
        )


def _row(key: Key) -> tuple[object, ...]:
    return (
        key.id,
        key.name,
        key.role,
        json.dumps(key.models),
        key.created,
        key.expires,
        key.revoked,
        key.requests_per_minute,
        key.tokens_per_minute,
        key.streams,
        key.budget_dollars,
        key.budget_tokens,
    )


def _key(row: tuple[object, ...]) -> Key:
    names = [name.strip() for name in FIELDS.split(",")]
    return msgspec.convert(
        {**dict(zip(names, row, strict=True)), "models": json.loads(str(row[3]))}, Key
    )
