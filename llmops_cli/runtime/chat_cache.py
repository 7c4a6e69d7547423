"""Answers on disk, by all that decided them: endpoint, whole request, seed and sample.

Several processes may share a file; one that was killed leaves it whole.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
from pathlib import Path
from typing import Self

import msgspec

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.runtime.chat_dialects import ChatReply
from llmops_cli.runtime.files import cannot_write

PATIENCE_S = 30.0
TABLE = "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer BLOB) WITHOUT ROWID"
FORM = b"llmops.chat-cache/1"
PRIMARY_CODE = 0xFF
"""The part of SQLite's code that its documentation calls primary; the rest tells details."""
MEANT = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EACCES,
    sqlite3.SQLITE_PERM: errno.EACCES,
}


class CachedReply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer and how long it took when it was asked for."""

    reply: ChatReply
    latency_s: float


def cache_key(url: str, body: bytes, *, repeat: int) -> bytes:
    """Of a request whose body holds the model and the seed; each sample has a key of its own."""
    digest = hashlib.sha256(FORM)
    for part in (url.encode(), body, str(repeat).encode()):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


class ChatCache:
    """A file of answers. Use as a context. Raises: EnvironmentMissing for one that is none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._table = sqlite3.connect(self._path, timeout=PATIENCE_S, isolation_level=None)
            self._table.execute("PRAGMA journal_mode=WAL")
            self._table.execute("PRAGMA synchronous=NORMAL")
            self._table.execute(TABLE)
        except OSError as error:
            raise cannot_write(self._path, error) from error
        except sqlite3.Error as error:
            raise self._broken(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._table.close()

    def get(self, key: bytes) -> CachedReply | None:
        try:
            row = self._table.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise self._broken(error) from error
        if row is None:
            return None
        try:
            return msgspec.json.decode(row[0], type=CachedReply)
        except UNREADABLE:  # damaged, or of a version with other fields: asked anew and replaced
            return None

    def put(self, key: bytes, found: CachedReply) -> None:
        encoded = msgspec.json.encode(found)
        try:
            self._table.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, encoded))
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def _broken(self, error: sqlite3.Error) -> EnvironmentMissing:
        """Only of a file that is no database is it said that it may go: others hold answers."""
        code = getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE
        if code in MEANT:
            return cannot_write(self._path, OSError(MEANT[code], os.strerror(MEANT[code])))
        is_lost = code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        return EnvironmentMissing(
            f"{self._path} cannot be used as a cache of answers: {error}",
            hint="remove it, or name another one" if is_lost else "name another one",
        )
