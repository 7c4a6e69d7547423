"""Where the gateway keeps what outlives it: LLMOPS_STATE_DIR, an SQLite file in it, and the schema."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.runtime.paths import cache_dir

DATABASE = "gateway.db"
SCHEMA = """
create table if not exists keys (
  id text primary key, name text not null, hash blob not null unique, role text not null, models text not null,
  created real not null, expires real, revoked real, requests_per_minute integer, tokens_per_minute integer,
  streams integer
);
create unique index if not exists keys_live_name on keys (name) where revoked is null;
"""


def state_dir() -> Path:
    """LLMOPS_STATE_DIR, else a folder in the cache."""
    named = os.environ.get("LLMOPS_STATE_DIR", "").strip()
    return Path(named).expanduser() if named else cache_dir() / "state"


def connect(folder: Path) -> sqlite3.Connection:
    """The database, made if it is not there, readable by its owner alone. Raises: EnvironmentMissing if it cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / DATABASE
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        found = sqlite3.connect(path, timeout=10, isolation_level=None)
        found.execute("pragma journal_mode=wal")
        found.executescript(SCHEMA)
    except (OSError, sqlite3.Error) as error:
        raise EnvironmentMissing(f"cannot keep state in {folder}: {error}", hint="set LLMOPS_STATE_DIR") from error
    return found
