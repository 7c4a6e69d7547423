"""Budgets in dollars and tokens, a key and month (UTC): reserved before a request, settled after
it.

What is settled plus what is reserved never passes the budget, so it can be overshot only by what
one answer costs more than was reserved for it. A reservation belongs to a process; one that has
died takes its reservations with it.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import time
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.state import connect

LOG = logging.getLogger("llmops.gateway")
MONTH = "%Y-%m"
PATIENCE_MS = 250
"""For another process's write, which takes microseconds unless something is wrong; nobody is served
meanwhile.
"""


class Spent(NamedTuple):
    """Of one key in one month: settled and reserved together."""

    dollars: float
    tokens: int


class Reservation(NamedTuple):
    """`id` is empty for a key without a budget: then nothing was reserved, but what is spent is
    still counted.
    """

    id: str
    key: str
    month: str


class Budgets(Protocol):
    """Where spending is kept: the database, or Redis."""

    async def reserve(self, key: Key, dollars: float, tokens: int) -> Reservation:
        """Raises: Refusal (429, insufficient_quota)."""
        ...

    async def settle(self, reservation: Reservation, dollars: float, tokens: int) -> None: ...

    async def spent(self, month: str) -> dict[str, Spent]:
        """By key id."""
        ...


def month_now() -> str:
    return _month(int(time.time()) // 60)


@lru_cache(1)
def _month(minute: int) -> str:
    return time.strftime(MONTH, time.gmtime(minute * 60))


def refusal(key: Key, dollars: float, tokens: int) -> Refusal:
    """What a request may cost does not fit into what is left."""
    most = f"${dollars:.4g}" if key.budget_dollars is not None else f"{tokens:,} tokens"
    of = (
        f"${key.budget_dollars:.4g}"
        if key.budget_dollars is not None
        else f"{key.budget_tokens:,} tokens"
    )
    said = f"this request may cost {most}, more than is left of the key's {of} this month; a smaller max_tokens costs less"
    return Refusal(429, said, code="insufficient_quota", headers=[(b"x-should-retry", b"false")])


def owner() -> str:
    """This process, told from a later one with the same number."""
    return f"{os.getpid()}-{_started(os.getpid())}"


def _lives(named: str) -> bool:
    number, _, started = named.partition("-")
    return _started(int(number)) == started


def _started(pid: int) -> str:
    """When a process began, in the system's ticks; empty if there is none (proc(5): field 22 of
    stat).
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


class LocalBudgets:
    """In the state folder's database, shared by all processes of the machine."""

    def __init__(self, folder: Path) -> None:
        self._db = connect(folder)
        self._db.execute(f"pragma busy_timeout={PATIENCE_MS}")
        self._me = owner()
        self._unsettled: list[tuple[Reservation, float, int]] = []
        self.forget_dead()

    def forget_dead(self) -> int:
        """Reservations of processes that are gone: their requests cost nothing that anybody
        counted.
        """
        owners = [row[0] for row in self._db.execute("select distinct owner from reservations")]
        gone = [named for named in owners if named != self._me and not _lives(named)]
        for named in gone:
            self._db.execute("delete from reservations where owner = ?", (named,))
        return len(gone)

    async def reserve(self, key: Key, dollars: float, tokens: int) -> Reservation:
        month = month_now()
        if key.budget_dollars is None and key.budget_tokens is None:
            return Reservation("", key.id, month)
        made = Reservation(secrets.token_hex(8), key.id, month)
        try:
            for last in (False, True):
                if self._insert(key, made, dollars, tokens):
                    return made
                if last or not self.forget_dead():
                    break
        except sqlite3.Error as error:
            LOG.error("budgets cannot be kept: %s", error)
            raise Refusal(
                503, "the key's budget cannot be checked now", code="limits_unavailable"
            ) from None
        raise refusal(key, dollars, tokens)

    def _insert(self, key: Key, made: Reservation, dollars: float, tokens: int) -> bool:
        """One statement, so that of two processes only one gets the last dollar."""
        most = (
            1e18 if key.budget_dollars is None else key.budget_dollars,
            key.budget_tokens or 1 << 60,
        )
        done = self._db.execute(
            "insert into reservations select :id, :key, :month, :dollars, :tokens, :owner where"
            " coalesce((select dollars from spend where key = :key and month = :month), 0)"
            " + coalesce((select sum(dollars) from reservations where key = :key and month = :month), 0)"
            " + :dollars <= :most_dollars + 1e-12 and"
            " coalesce((select tokens from spend where key = :key and month = :month), 0)"
            " + coalesce((select sum(tokens) from reservations where key = :key and month = :month), 0)"
            " + :tokens <= :most_tokens",
            {
                "id": made.id,
                "key": made.key,
                "month": made.month,
                "dollars": dollars,
                "tokens": tokens,
                "owner": self._me,
                "most_dollars": most[0],
                "most_tokens": most[1],
            },
        )
        return done.rowcount == 1

    async def settle(self, reservation: Reservation, dollars: float, tokens: int) -> None:
        """A key without a budget is written down about once a second, with what could not be
        written at once.
        """
        if reservation.id:
            try:
                self._write([(reservation, dollars, tokens)])
            except sqlite3.Error as error:
                LOG.error("spending is written later: %s", error)
                self._unsettled.append((reservation, dollars, tokens))
        elif dollars or tokens:
            self._unsettled.append((reservation, dollars, tokens))

    def flush(self) -> None:
        if self._unsettled:
            sums = dict[Reservation, Spent]()
            for reservation, dollars, tokens in self._unsettled:
                before = sums.get(reservation, Spent(0.0, 0))
                sums[reservation] = Spent(before.dollars + dollars, before.tokens + tokens)
            self._write([(reservation, *spent) for reservation, spent in sums.items()])
            self._unsettled = []

    def _write(self, entries: list[tuple[Reservation, float, int]]) -> None:
        self._db.execute("begin immediate")
        try:
            for (name, key, month), dollars, tokens in entries:
                if name:
                    self._db.execute("delete from reservations where id = ?", (name,))
                self._db.execute(
                    "insert into spend values (?, ?, ?, ?) on conflict do update set"
                    " dollars = dollars + excluded.dollars, tokens = tokens + excluded.tokens",
                    (key, month, dollars, tokens),
                )
            self._db.execute("commit")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise

    async def spent(self, month: str) -> dict[str, Spent]:
        self.flush()
        rows = self._db.execute(
            "select key, sum(dollars), sum(tokens) from (select key, month, dollars, tokens from spend union all"
            " select key, month, dollars, tokens from reservations) where month = ? group by key",
            (month,),
        )
        return {key: Spent(dollars, tokens) for key, dollars, tokens in rows}


def cost(price: tuple[float, float], input_tokens: int, output_tokens: int) -> float:
    """Dollars."""
    return price[0] * input_tokens + price[1] * output_tokens
