"""Budgets in the state folder's database, which all processes of the machine share.

A reservation belongs to a process; one that has died takes its reservations with it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from llmops_cli.serve.accounts.budget import (
    Reservation,
    Spending,
    budget_of,
    month_now,
    refusal,
)
from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.accounts.owners import Owners
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.state import changing, connect, connect_serving

LOG = logging.getLogger("llmops.gateway")
RESERVE = """
insert into reservations
select :id, :key, :month, :dollars, :tokens, :owner
where
  coalesce((select dollars from spend where key = :key and month = :month), 0)
  + coalesce((select sum(dollars) from reservations where key = :key and month = :month), 0)
  + :dollars <= :most_dollars + 1e-12
and
  coalesce((select tokens from spend where key = :key and month = :month), 0)
  + coalesce((select sum(tokens) from reservations where key = :key and month = :month), 0)
  + :tokens <= :most_tokens
"""
"""One statement, so that of two processes only one gets the last dollar."""
SPEND = """
insert into spend values (?, ?, ?, ?)
on conflict do update set dollars = dollars + excluded.dollars, tokens = tokens + excluded.tokens
"""
SPENT = """
select key, total(dollars), total(tokens) from (
  select key, dollars, tokens from spend where month = :month
  union all
  select key, dollars, tokens from reservations where month = :month
)
group by key
"""


class Settlement(NamedTuple):
    """What a reservation came to."""

    reservation: Reservation
    spending: Spending


class LocalBudgets:
    """The budgets of one state folder."""

    def __init__(self, folder: Path) -> None:
        """Raises: EnvironmentMissing."""
        self._folder = folder
        self._db = connect_serving(folder)
        self._owners = Owners(folder)
        self._unsettled: list[Settlement] = []
        self._fails = False
        with changing(folder):
            self.forget_dead()

    def forget_dead(self) -> int:
        """Reservations of processes that are gone: what they asked for, nobody counted."""
        rows = self._db.execute("select distinct owner from reservations")
        gone = [row[0] for row in rows if not self._owners.is_alive(row[0])]
        for other in gone:
            self._db.execute("delete from reservations where owner = ?", (other,))
        return len(gone)

    async def reserve(
        self,
        key: Key,
        dollars: float,
        tokens: int,
    ) -> Reservation:
        month = month_now()
        budget = budget_of(key)
        if budget is None:
            return Reservation("", key.id, month)
        reservation = Reservation(secrets.token_hex(8), key.id, month)
        wanted = Spending(dollars, tokens)
        try:
            fits = self._insert(reservation, wanted, budget)
            if not fits and self.forget_dead():
                fits = self._insert(reservation, wanted, budget)
        except sqlite3.Error as error:
            LOG.error("budgets cannot be kept: %s", error)
            message = "the key's budget cannot be checked now"
            raise Refusal(503, message, code="limits_unavailable") from None
        if not fits:
            raise refusal(key, dollars, tokens)
        return reservation

    def _insert(
        self,
        reservation: Reservation,
        wanted: Spending,
        budget: Spending,
    ) -> bool:
        values = {
            **reservation._asdict(),
            **wanted._asdict(),
            "owner": self._owners.mine,
            "most_dollars": budget.dollars,
            "most_tokens": budget.tokens,
        }
        return self._db.execute(RESERVE, values).rowcount == 1

    async def settle(
        self,
        reservation: Reservation,
        dollars: float,
        tokens: int,
    ) -> None:
        """A key without a budget is written down about once a second.

        So is what could not be written at once.
        """
        settlement = Settlement(reservation, Spending(dollars, tokens))
        if reservation.id:
            try:
                self._write([settlement])
            except sqlite3.Error as error:
                self._note_failure(error)
                self._unsettled.append(settlement)
        elif dollars or tokens:
            self._unsettled.append(settlement)

    def flush(self) -> None:
        """What cannot be written stays until it can; that is said once."""
        if not self._unsettled:
            return
        sums = dict[Reservation, Spending]()
        for reservation, spending in self._unsettled:
            before = sums.get(reservation, Spending())
            sums[reservation] = before.plus(spending)
        self._unsettled = [Settlement(*each) for each in sums.items()]
        try:
            self._write(self._unsettled)
        except sqlite3.Error as error:
            self._note_failure(error)
        else:
            self._unsettled = []
            self._fails = False

    def _note_failure(self, error: sqlite3.Error) -> None:
        if not self._fails:
            LOG.error("spending is written later: %s", error)
        self._fails = True

    def _write(self, settlements: Iterable[Settlement]) -> None:
        self._db.execute("begin immediate")
        try:
            for reservation, spending in settlements:
                self._settle(reservation, spending)
            self._db.execute("commit")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise

    def _settle(self, reservation: Reservation, spending: Spending) -> None:
        if reservation.id:
            self._db.execute("delete from reservations where id = ?", (reservation.id,))
        self._db.execute(SPEND, (reservation.key, reservation.month, *spending))

    async def spent(self, month: str) -> dict[str, Spending]:
        """Read in a thread: there may be ten thousand keys."""
        self.flush()
        return await asyncio.to_thread(_spent, self._folder, month)


def _spent(folder: Path, month: str) -> dict[str, Spending]:
    with closing(connect(folder)) as database:
        rows = database.execute(SPENT, {"month": month})
        return {
            key: Spending(_counted(dollars), int(_counted(tokens))) for key, dollars, tokens in rows
        }


def _counted(sum_: float) -> float:
    """Infinity is what somebody has written into the database, and nobody has spent."""
    return sum_ if isfinite(sum_) else 0.0
