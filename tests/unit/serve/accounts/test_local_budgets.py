"""Budgets in the database: what is reserved, settled, and written later."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.serve.accounts.budget import Reservation, month_now
from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.accounts.local_budgets import LocalBudgets
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.state import connect


def key_of(**more: Any) -> Key:
    return Key(id="k", name="k", role="user", models=[], created=0.0, **more)


@settings(max_examples=25, deadline=None)
@given(
    plan=st.lists(st.tuples(st.floats(0.01, 5), st.floats(0, 1)), min_size=1, max_size=60),
    most=st.floats(0.1, 20),
)
def test_reserved_and_settled_never_pass_the_budget(
    plan: list[tuple[float, float]], most: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    budgets = LocalBudgets(tmp_path_factory.mktemp("budget"))
    key = key_of(budget_dollars=most)

    async def go() -> None:
        held: list[tuple[Reservation, float]] = []
        for i, (dollars, share) in enumerate(plan):
            with contextlib.suppress(Refusal):
                held.append((await budgets.reserve(key, dollars, 1), dollars * share))
            if i % 3 == 2 and held:
                reservation, spent = held.pop(0)
                await budgets.settle(reservation, spent, 1)
            total = (await budgets.spent(month_now())).get("k")
            assert total is None or total.dollars <= most + 1e-9
        for reservation, spent in held:
            await budgets.settle(reservation, spent, 1)

    asyncio.run(go())


def test_spending_that_cannot_be_written_is_written_later(tmp_path: Path) -> None:
    """A disk that is full, or a database that somebody holds: no request fails for it, and nothing
    is forgotten.
    """
    budgets = LocalBudgets(tmp_path)
    key = key_of(budget_dollars=10.0)
    other = connect(tmp_path)

    async def go() -> float:
        held = await budgets.reserve(key, 3.0, 1)
        other.execute("begin immediate")
        await budgets.settle(held, 2.0, 5)
        with pytest.raises(Refusal) as refused:
            await budgets.reserve(key, 1.0, 1)
        assert refused.value.status == 503
        other.execute("commit")
        return (await budgets.spent(month_now()))["k"].dollars

    assert asyncio.run(go()) == pytest.approx(2.0)


def test_a_full_disk_is_said_once_and_costs_no_spending(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    budgets = LocalBudgets(tmp_path)
    budgets._db.execute("pragma busy_timeout=1")
    nobodys = Reservation("", "k", month_now())
    other = connect(tmp_path)
    other.execute("begin immediate")

    async def go() -> float:
        for _ in range(3):
            await budgets.settle(nobodys, 1.0, 2)
            budgets.flush()
        assert (await budgets.spent(month_now())) == {}, "what was written is still shown"
        other.execute("commit")
        return (await budgets.spent(month_now()))["k"].dollars

    assert asyncio.run(go()) == pytest.approx(3.0)
    assert [record.getMessage() for record in caplog.records] == [
        "spending is written later: database is locked"
    ]


RESERVE = """
import asyncio, sys
from pathlib import Path
from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.accounts.local_budgets import LocalBudgets
budgets = LocalBudgets(Path(sys.argv[1]))
key = Key(id="k", name="k", role="user", models=[], created=0.0, budget_dollars=1.0)
asyncio.run(budgets.reserve(key, 0.9, 1))
print("reserved", flush=True)
sys.stdin.read()
"""


def test_who_lives_in_another_container_keeps_its_reservation(tmp_path: Path) -> None:
    """There its number is nobody's here; once it is killed, what it reserved is free again."""
    argv = [sys.executable, "-c", RESERVE, str(tmp_path)]
    inside = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
    inside += ["--kill-child", "--mount-proc"]
    if subprocess.run([*inside, "true"], check=False, capture_output=True).returncode != 0:
        inside = []  # where no other name space can be made, a process is told by its lock too
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([*inside, *argv], **pipes) as other:  # type: ignore[call-overload]
        try:
            assert other.stdout.readline() == b"reserved\n"
            assert not _can_reserve(tmp_path)
        finally:
            other.kill()
    end = time.monotonic() + 10
    while not _can_reserve(tmp_path):
        assert time.monotonic() < end
        time.sleep(0.05)


def _can_reserve(folder: Path) -> bool:
    budgets = LocalBudgets(folder)
    try:
        asyncio.run(budgets.reserve(key_of(budget_dollars=1.0), 0.5, 1))
    except Refusal:
        return False
    return True


def test_a_database_that_cannot_be_written_is_told_as_that(tmp_path: Path) -> None:
    """`keys list` on a full disk, behind a gateway that was killed, was a bug of ours.

    SQLite only reads a file whose form is of a later version.
    """
    LocalBudgets(tmp_path)
    with contextlib.closing(connect(tmp_path)) as database:
        database.execute("insert into reservations values ('r', 'k', '2026-11', 1.0, 1, '0-1-2')")
        database.execute("pragma wal_checkpoint(truncate)")
    path = tmp_path / "gateway.db"
    raw = bytearray(path.read_bytes())
    raw[18] = 3
    path.write_bytes(raw)
    with pytest.raises(EnvironmentMissing, match="nothing was changed"):
        LocalBudgets(tmp_path)
