"""What was deployed, by whom and why, and the configurations to go back to: in the state folder."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import NamedTuple

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.gateway_file.config import GatewayConfig

GATEWAY = "gateway"
"""Who decided, where nobody asked."""
ENTRIES_MOST = 1000
CONFIGS_MOST = 20
DIGEST_CHARS = 12


class Action(StrEnum):
    """START: a gateway began. CONFIG: its file was read anew. STEP: a canary's next one."""

    START = "start"
    CONFIG = "config"
    CANARY = "canary"
    STEP = "step"
    PROMOTE = "promote"
    ROLLBACK = "rollback"


SETTLING = (Action.START, Action.CONFIG, Action.ROLLBACK)
"""What says which configuration is served, where no model is named."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What was done at `at` (seconds since 1970).

    `key`: the id of the key that asked. `digest`: of the configuration then. `percent`: of the
    traffic, that a canary gets from then on.
    """

    id: int = 0
    at: float
    who: str
    key: str = ""
    action: Action
    model: str = ""
    percent: int | None = None
    digest: str
    reason: str = ""


class KeptConfig(NamedTuple):
    """A configuration that was served. `policy`: the guard's as JSON, as it was then."""

    digest: str
    config: GatewayConfig
    policy: str | None


COLUMNS = ", ".join(Deployment.__struct_fields__)


def digest_of(config: GatewayConfig, policy: str | None) -> str:
    """Of all that decides what is served."""
    raw = msgspec.json.encode([config, policy], order="deterministic")
    return hashlib.sha256(raw).hexdigest()[:DIGEST_CHARS]


def record(database: sqlite3.Connection, done: Deployment) -> None:
    """Within the transaction of what is done, if there is one."""
    values = list(msgspec.structs.asdict(done).values())[1:]
    marks = ", ".join("?" for _ in values)
    database.execute(f"insert into deployments values (null, {marks})", values)
    database.execute(
        "delete from deployments where id <= (select max(id) from deployments) - ?",
        (ENTRIES_MOST,),
    )


def begin(database: sqlite3.Connection, start: Deployment) -> None:
    """Each worker says so; it is written once."""
    twin = database.execute(
        "select 1 from deployments where action = ? and at = ?",
        (start.action, start.at),
    )
    if twin.fetchone() is None:
        record(database, start)


@contextmanager
def within(database: sqlite3.Connection) -> Iterator[None]:
    """All that is done within, or nothing."""
    database.execute("begin immediate")
    try:
        yield
        database.execute("commit")
    finally:
        if database.in_transaction:  # refused, or a full disk; nobody else could write
            database.execute("rollback")


def entries(database: sqlite3.Connection, most: int) -> list[Deployment]:
    """The last ones, newest first."""
    rows = database.execute(
        f"select {COLUMNS} from deployments order by id desc limit ?",
        (most,),
    )
    names = Deployment.__struct_fields__
    found = []
    for row in rows:
        values = dict(zip(names, row, strict=True))
        found.append(msgspec.convert(values, Deployment))
    return found


def state_of(database: sqlite3.Connection, digest: str) -> str:
    """It is another one as soon as anybody has changed anything.

    A canary's own next step does not count: whoever looked before it wants the same as after it.
    """
    row = database.execute(
        "select max(id) from deployments where action not in (?, ?)",
        (Action.STEP, Action.START),
    ).fetchone()
    raw = f"{digest}:{row[0] or 0}"
    return hashlib.sha256(raw.encode()).hexdigest()[:DIGEST_CHARS]


def keep_config(
    database: sqlite3.Connection,
    config: GatewayConfig,
    policy: str | None,
) -> None:
    """Redis' address stays out: it may hold a password, and changes only with a start."""
    digest = digest_of(config, policy)
    raw = msgspec.json.encode(msgspec.structs.replace(config, redis=None))
    database.execute(
        "insert or replace into deployed_configs values (?, ?, ?, ?)",
        (digest, time.time(), raw, policy),
    )
    database.execute(
        "delete from deployed_configs where digest not in"
        " (select digest from deployed_configs order by at desc limit ?)",
        (CONFIGS_MOST,),
    )


def kept_config(database: sqlite3.Connection, digest: str) -> KeptConfig | None:
    """None: too long ago, or of a version with other fields."""
    row = database.execute(
        "select config, policy from deployed_configs where digest = ?",
        (digest,),
    ).fetchone()
    if row is None:
        return None
    try:
        config = msgspec.json.decode(row[0], type=GatewayConfig)
    except UNREADABLE:
        return None
    return KeptConfig(digest, config, row[1])


def digest_before(database: sqlite3.Connection, digest: str) -> str | None:
    """Of the configuration that was served last before this one."""
    row = database.execute(
        "select digest from deployments where model = '' and digest != ?"
        " and action in (?, ?, ?) order by id desc limit 1",
        (digest, *SETTLING),
    ).fetchone()
    return None if row is None else str(row[0])


def is_rolled_back(database: sqlite3.Connection, digest: str) -> bool:
    """Whether an operator has put this configuration back, and no file came since."""
    row = database.execute(
        "select action, digest from deployments where model = ''"
        " and action in (?, ?, ?) order by id desc limit 1",
        SETTLING,
    ).fetchone()
    return row is not None and tuple(row) == (Action.ROLLBACK, digest)
