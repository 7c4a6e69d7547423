"""An SQLite file of what may be lost at any time: one that is damaged begins anew."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from llmops_cli.core.errors import EnvironmentMissing

LOG = logging.getLogger("llmops.gateway")
VERSION = 1
ANSWERS = "cache.db"
ANSWERS_SCHEMA = """
create table if not exists answers (name text primary key, until real not null, body blob not null)
without rowid;
create index if not exists answers_until on answers (until)
"""
MEANINGS = "meanings.db"
MEANINGS_SCHEMA = """
create table if not exists questions (
  partition text not null, name text not null, at real not null, vector blob not null,
  words blob not null, primary key (partition, name)
)
"""
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
BESIDE = ("", "-wal", "-shm")
Arguments = Sequence[object] | Mapping[str, object]
CacheRows = list[Any]  # Any: what columns hold


class CacheFile:
    """`schema` makes its tables; a file of another `version` begins anew, too."""

    def __init__(
        self,
        path: Path,
        schema: str,
        *,
        version: int,
    ) -> None:
        """Raises: EnvironmentMissing if nothing can be kept there."""
        self._path = path
        self._schema = schema
        self._version = version
        self._inode = 0
        try:
            self._db = self._begun()
        except (OSError, sqlite3.Error) as error:
            raise EnvironmentMissing(
                f"cannot keep answers in {path}: {error}",
                hint="move it away, or set LLMOPS_STATE_DIR",
            ) from error

    def rows(self, statement: str, arguments: Arguments = ()) -> CacheRows:
        """None of them where the file cannot be read."""
        try:
            return self._db.execute(statement, arguments).fetchall()
        except sqlite3.Error as error:
            self._mend(error)
            return []

    def run(self, statement: str, arguments: Arguments = ()) -> None:
        try:
            self._db.execute(statement, arguments)
        except sqlite3.Error as error:
            self._mend(error)

    def close(self) -> None:
        self._db.close()

    def _begun(self) -> sqlite3.Connection:
        """Raises: OSError; sqlite3.Error."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            return self._opened()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._remove(str(error))
            return self._opened()

    def _opened(self) -> sqlite3.Connection:
        """Raises: OSError; sqlite3.Error."""
        if not self._path.exists():
            self._path.touch(mode=0o600)
        self._inode = self._path.stat().st_ino
        database = sqlite3.connect(self._path, timeout=2, isolation_level=None)
        try:
            database.execute("pragma journal_mode=wal")
            database.execute("pragma cache_size=-1024")
            # A cache may lose its last entries with the power.
            database.execute("pragma synchronous=off")
            database.execute("begin immediate")
            self._drop_other_version(database)
            for statement in self._schema.split(";"):
                database.execute(statement)
            database.execute(f"pragma user_version = {self._version}")
            database.execute("commit")
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _drop_other_version(self, database: sqlite3.Connection) -> None:
        """Its tables, with what they hold."""
        (found,) = database.execute("pragma user_version").fetchone()
        if found == self._version:
            return
        tables = "select name from sqlite_master where type = 'table'"
        for (table,) in database.execute(tables).fetchall():
            database.execute(f'drop table if exists "{table}"')

    def _mend(self, error: sqlite3.Error) -> None:
        """Says what is wrong, and begins anew where that helps."""
        if not _is_damage(error):
            LOG.warning("the cache %s cannot be used: %s", self._path.name, error)
            return
        self._db.close()
        try:
            self._remove(str(error))
            self._db = self._opened()
        except (OSError, sqlite3.Error) as failure:
            LOG.warning("the cache %s cannot be made anew: %s", self._path.name, failure)
            self._db = sqlite3.connect(":memory:", isolation_level=None)
            self._db.executescript(self._schema)

    def _remove(self, why: str) -> None:
        """Once, whichever worker comes first. Raises: OSError."""
        lock = os.open(
            self._path.with_name(f"{self._path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if self._path.stat().st_ino != self._inode:
                    return
            LOG.warning("the cache %s was damaged (%s) and begins anew", self._path, why)
            for ending in BESIDE:
                self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
        finally:
            os.close(lock)


def _is_damage(error: sqlite3.Error) -> bool:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in DAMAGED
