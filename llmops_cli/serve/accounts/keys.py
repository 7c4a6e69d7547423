"""API keys: random, shown once, kept as SHA-256.

They are looked up in the database, and remembered; changes of it are seen within a second.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from llmops_cli.core.calls import call
from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.serve.accounts.key import (
    ASKING,
    COLUMNS,
    FIELDS,
    ROLES,
    DamagedKey,
    Key,
    key_of,
    require_key,
    row_of,
)
from llmops_cli.serve.accounts.key_changes import KeyChanges
from llmops_cli.serve.state import changing, connect

__all__ = ["ASKING", "ROLES", "DamagedKey", "Key", "KeyStore"]

LOG = logging.getLogger("llmops.gateway")
PREFIX = "llmops_"
REFRESH_S = 0.5
REMEMBERED_MOST = 20_000
CHANGEABLE = [name for name in FIELDS if name not in ("id", "created", "revoked")]
LIVE = f"select {COLUMNS} from keys where revoked is null and (expires is null or expires > ?)"
UPDATE = f"update keys set {', '.join(f'{name} = ?' for name in CHANGEABLE)} where id = ?"


def digest(secret: str) -> bytes:
    raw = secret.encode("utf-8", "surrogateescape")
    return hashlib.sha256(raw).digest()


def _new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(32)


class KeyStore:
    """The keys of one state folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._db = connect(folder)
        self._db.text_factory = _text
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
        prompts: list[str] | None = None,
        expires: float | None = None,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        streams: int | None = None,
        budget_dollars: float | None = None,
        budget_tokens: int | None = None,
        tags: dict[str, str] | None = None,
    ) -> tuple[str, Key]:
        """The key, never seen again, and what is kept of it.

        Raises: UsageError for a name in use, a bad role, or a number out of bounds;
        EnvironmentMissing if it cannot be written.
        """
        secret = _new_secret()
        key = Key(
            id=secrets.token_hex(6),
            name=name,
            role=role,
            models=models or [],
            prompts=prompts or [],
            created=time.time(),
            expires=expires,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            streams=streams,
            budget_dollars=budget_dollars,
            budget_tokens=budget_tokens,
            tags=tags or {},
        )
        self._insert(require_key(key), secret)
        return secret, key

    def _insert(self, key: Key, secret: str) -> None:
        values = (*row_of(key), digest(secret))
        places = ",".join("?" * len(values))
        try:
            with changing(self._folder):
                self._db.execute(f"insert into keys ({COLUMNS}, hash) values ({places})", values)
        except sqlite3.IntegrityError:
            raise UsageError(
                f"there is a key named {key.name}",
                hint=f"{call('keys', 'rotate', key.name)}, or revoke it",
            ) from None

    def all(self) -> list[Key]:
        return [row for row in self._rows() if isinstance(row, Key)]

    def damaged(self) -> list[DamagedKey]:
        return [row for row in self._rows() if isinstance(row, DamagedKey)]

    def _rows(self) -> Iterator[Key | DamagedKey]:
        rows = self._db.execute(f"select {COLUMNS} from keys order by created")
        return map(key_of, rows)

    def rotate(self, name: str) -> tuple[str, Key]:
        """A new secret for the same name and rights; the old one stops at once."""
        old = self.named(name)
        secret = _new_secret()
        self._change("update keys set hash = ? where id = ?", digest(secret), old.id)
        return secret, old

    def update(self, name: str, changes: KeyChanges) -> Key:
        """The key as it is now, on all workers within a second. Raises: UsageError."""
        old = self.named(name)
        new = require_key(changes.applied_to(old))
        values = dict(zip(FIELDS, row_of(new), strict=True))
        self._change(UPDATE, *(values[field] for field in CHANGEABLE), old.id)
        return new

    def revoke(self, name: str) -> Key | DamagedKey:
        """Raises: UsageError if there is no such live key."""
        old = self._live(name)
        now = time.time()
        self._change("update keys set revoked = ? where id = ?", now, old.id)
        if isinstance(old, DamagedKey):
            return old._replace(revoked=True)
        return msgspec.structs.replace(old, revoked=now)

    def _change(self, statement: str, *values: object) -> None:
        with changing(self._folder):
            self._db.execute(statement, values)
        self._by_hash.clear()  # SQLite tells of other connections' changes only

    def named(self, name: str) -> Key:
        """A key that is not revoked, by its name or id. Raises: UsageError."""
        found = self._live(name)
        if isinstance(found, DamagedKey):
            raise UsageError(
                f"the key {found.name} is damaged: {found.why}",
                hint=f"llmops keys revoke {found.id}, and create another",
            )
        return found

    def _live(self, name: str) -> Key | DamagedKey:
        live = [row for row in self._rows() if not row.revoked]
        for row in live:
            if name in (row.name, row.id):
                return row
        raise unknown_name("key", name, [row.name for row in live])

    # For the gateway.

    def find(self, secret: str) -> Key | None:
        """The live key.

        By its digest, so that no comparison takes longer the more of a key is right.
        """
        now = time.monotonic()
        if now - self._checked > REFRESH_S:
            self._checked = now
            self._forget_if_changed()
        hashed = digest(secret)
        key = self._by_hash.get(hashed)
        if key is None:  # it may be new; one row by its index takes microseconds
            key = self._read(hashed)
        if key is None or not key.is_live():
            return None
        return key

    def knows(self, secret: str) -> bool:
        """Whether there is such a key, whatever has become of it."""
        found = self._db.execute("select 1 from keys where hash = ?", (digest(secret),))
        return found.fetchone() is not None

    def with_digest(self, hashed: bytes) -> Key | None:
        """The key, whatever has become of it."""
        return self._by_hash.get(hashed) or self._read(hashed)

    def _forget_if_changed(self) -> None:
        """Another connection has changed the database, or more is remembered than is used."""
        version = self._db.execute("pragma data_version").fetchone()[0]
        if version != self._version or len(self._by_hash) > REMEMBERED_MOST:
            self._version = version
            self._by_hash.clear()

    def _read(self, hashed: bytes) -> Key | None:
        found = self._db.execute(f"select {COLUMNS} from keys where hash = ?", (hashed,))
        row = found.fetchone()
        if row is None:
            return None
        key = key_of(row)
        if isinstance(key, DamagedKey):
            LOG.error("the key %s is damaged: %s", key.id, key.why)
            return None
        self._by_hash[hashed] = key
        return key

    def has_live(self) -> bool:
        """Whether somebody gets in. The first that is found will do."""
        found = self._db.execute(LIVE, (time.time(),))
        rows = map(key_of, found)
        return any(isinstance(row, Key) and row.is_live() for row in rows)

    def __len__(self) -> int:
        """Those that somebody gets in by."""
        return sum(key.is_live() for key in self.all())


def _text(raw: bytes) -> str:
    """What is no UTF-8 damages one row, not the reading of all."""
    return raw.decode("utf-8", "replace")
