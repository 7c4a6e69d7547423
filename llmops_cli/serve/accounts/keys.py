"""API keys: random, shown once, kept as SHA-256.

They are looked up in memory; changes of the database are seen within a second.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Sequence
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
NAME_MOST = 100


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key, which is not the key.

    Times are seconds since 1970; an empty `models` means all.
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


FIELDS = Key.__struct_fields__
COLUMNS = ", ".join(FIELDS)


def digest(secret: str) -> bytes:
    raw = secret.encode("utf-8", "surrogateescape")
    return hashlib.sha256(raw).digest()


def _new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(32)


class KeyStore:
    """The keys of one state folder."""

    def __init__(self, folder: Path) -> None:
        self._db = connect(folder)
        self._by_hash: dict[bytes, Key] = {}
        self._version = -1
        self._checked = 0.0

    # For those who manage them.

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
        """The key, never seen again, and what is kept of it.

        Raises: UsageError for a name in use or a bad role.
        """
        if role not in ROLES:
            raise unknown_name("role", role, ROLES)
        if not name.strip() or not name.isprintable() or len(name) > NAME_MOST:
            raise UsageError("a key needs a name", hint="--name team-search")
        secret = _new_secret()
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
        self._insert(key, secret)
        return secret, key

    def _insert(self, key: Key, secret: str) -> None:
        values = (*_row(key), digest(secret))
        places = ",".join("?" * len(values))
        try:
            self._db.execute(f"insert into keys ({COLUMNS}, hash) values ({places})", values)
        except sqlite3.IntegrityError:
            raise UsageError(
                f"there is a key named {key.name}",
                hint=f"llmops keys rotate {key.name}, or revoke it",
            ) from None

    def all(self) -> list[Key]:
        rows = self._db.execute(f"select {COLUMNS} from keys order by created")
        return [_key(row) for row in rows]

    def rotate(self, name: str) -> tuple[str, Key]:
        """A new secret for the same name and rights; the old one stops at once."""
        old = self._live(name)
        secret = _new_secret()
        self._db.execute("update keys set hash = ? where id = ?", (digest(secret), old.id))
        return secret, old

    def revoke(self, name: str) -> Key:
        old = self._live(name)
        now = time.time()
        self._db.execute("update keys set revoked = ? where id = ?", (now, old.id))
        return msgspec.structs.replace(old, revoked=now)

    def _live(self, name: str) -> Key:
        live = [key for key in self.all() if key.revoked is None]
        for key in live:
            if name in (key.name, key.id):
                return key
        raise unknown_name("key", name, [key.name for key in live])

    # For the gateway.

    def find(self, secret: str) -> Key | None:
        """The live key.

        By its digest, so that no comparison takes longer the more of a key is right.
        """
        now = time.monotonic()
        if now - self._checked > REFRESH_S:
            self._checked = now
            self._refresh()
        hashed = digest(secret)
        key = self._by_hash.get(hashed)
        if key is None:  # it may be new: to ask whether anything has changed takes microseconds
            self._refresh()
            key = self._by_hash.get(hashed)
        if key is None or _is_expired(key):
            return None
        return key

    def _refresh(self) -> None:
        """Reads the keys again if another connection has changed the database."""
        version = self._db.execute("pragma data_version").fetchone()[0]
        if version != self._version:
            self._version = version
            rows = self._db.execute(f"select {COLUMNS}, hash from keys where revoked is null")
            self._by_hash = {hashed: _key(row) for *row, hashed in rows}

    def __len__(self) -> int:
        counted = self._db.execute("select count(*) from keys where revoked is null")
        return int(counted.fetchone()[0])


def _is_expired(key: Key) -> bool:
    return key.expires is not None and key.expires <= time.time()


def _row(key: Key) -> tuple[object, ...]:
    values = msgspec.structs.asdict(key)
    values["models"] = json.dumps(key.models)
    return tuple(values.values())


def _key(row: Sequence[object]) -> Key:
    values = dict(zip(FIELDS, row, strict=True))
    values["models"] = json.loads(str(values["models"]))
    return msgspec.convert(values, Key)
