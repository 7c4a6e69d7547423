"""Where the gateway keeps what outlives it: LLMOPS_STATE_DIR, and an SQLite file in it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.runtime.paths import at_home, cache_dir

DATABASE = "gateway.db"
PATIENCE_MS = 250
"""For another process's write, which takes microseconds unless something is wrong.

Nobody is served meanwhile.
"""
SCHEMA = """
create table if not exists keys (
  id text primary key,
  name text not null,
  hash blob not null unique,
  role text not null,
  models text not null,
  created real not null,
  expires real,
  revoked real,
  requests_per_minute integer,
  tokens_per_minute integer,
  streams integer
);
create unique index if not exists keys_live_name on keys (name) where revoked is null;
create table if not exists canaries (name text primary key, state blob not null);
create table if not exists spend (
  key text not null,
  month text not null,
  dollars real not null,
  tokens integer not null,
  primary key (key, month)
);
create table if not exists reservations (
  id text primary key,
  key text not null,
  month text not null,
  dollars real not null,
  tokens integer not null,
  owner text not null
);
create index if not exists reservations_key on reservations (key, month);
create table if not exists deployments (
  id integer primary key,
  at real not null,
  who text not null,
  key text not null,
  action text not null,
  model text not null,
  percent integer,
  digest text not null,
  reason text not null
);
create table if not exists deployed_configs (
  digest text primary key,
  at real not null,
  config blob not null,
  policy text
);
"""
ADDED = {
    "keys": (
        ("budget_dollars", "real"),
        ("budget_tokens", "integer"),
        ("tags", "text"),
        ("prompts", "text"),
    )
}
"""Columns that an older database lacks."""


def state_dir() -> Path:
    """LLMOPS_STATE_DIR, else a folder in the cache."""
    named = os.environ.get("LLMOPS_STATE_DIR", "").strip()
    if named:
        return at_home(named)
    return cache_dir() / "state"


def connect_serving(folder: Path) -> sqlite3.Connection:
    """The same for who serves meanwhile: nobody's writing is waited for long.

    Raises: EnvironmentMissing.
    """
    database = connect(folder)
    database.execute(f"pragma busy_timeout={PATIENCE_MS}")
    return database


def connect(folder: Path) -> sqlite3.Connection:
    """The database, made if it is not there, readable by its owner alone.

    Raises: EnvironmentMissing if it cannot.
    """
    path = folder / DATABASE
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(path)
        return _opened(path)
    except (OSError, sqlite3.OperationalError) as error:
        raise EnvironmentMissing(
            f"cannot keep state in {folder}: {error}", hint="set LLMOPS_STATE_DIR"
        ) from error
    except sqlite3.Error as error:
        raise EnvironmentMissing(
            f"cannot keep state in {path}: {error}",
            hint="put back a copy, or move it away and create the keys anew",
        ) from error


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """What is asked of the database within cannot always be written: a full disk, no right to it.

    Raises: EnvironmentMissing.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise EnvironmentMissing(
            f"nothing was changed in {folder / DATABASE}: {error}",
            hint="look at the disk's space and the folder's rights, and ask again",
        ) from error


def _make(path: Path) -> None:
    """Only where there is none.

    To close a file that this process has open in SQLite, too, drops SQLite's locks on it
    (sqlite.org/howtocorrupt.html, 2.2), and the next process to end would delete the log under
    our feet.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=10, isolation_level=None)
    _require_whole(database)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=normal")
    database.execute("pragma cache_size=-256")  # KB; rows are few
    database.executescript(SCHEMA)
    for table, columns in ADDED.items():
        _add_columns(database, table, columns)
    return database


def _require_whole(database: sqlite3.Connection) -> None:
    """Told at the start, with nothing changed, and not by whoever first comes to the damaged page.

    Raises: sqlite3.DatabaseError.
    """
    found = str(database.execute("pragma quick_check(1)").fetchone()[0])
    if found != "ok":
        raise sqlite3.DatabaseError(f"it is damaged: {found.splitlines()[-1]}")


def _add_columns(
    database: sqlite3.Connection,
    table: str,
    columns: tuple[tuple[str, str], ...],
) -> None:
    have = {row[1] for row in database.execute(f"pragma table_info({table})")}
    for name, kind in columns:
        if name not in have:
            with suppress(sqlite3.OperationalError):  # another process has just added it
                database.execute(f"alter table {table} add column {name} {kind}")
