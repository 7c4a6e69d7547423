"""Answers and requests that are kept on this machine, and what of them is forgotten when."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from llmops_cli.serve.answers import cache
from llmops_cli.serve.answers.cache import LocalStore
from llmops_cli.serve.answers.cache_file import ANSWERS
from llmops_cli.serve.feedback.book import BOOK, AskedRequest, LocalBook

KB = 1 << 10
MOST = 4 << 20


def longest_s(work: Callable[[int], object], times: int) -> float:
    """CPU time of the longest of them."""
    found = []
    for number in range(times):
        start = time.process_time()
        work(number)
        found.append(time.process_time() - start)
    return max(found)


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute(f"select count(*) from {table}").fetchone()[0])


@pytest.mark.parametrize("size", [16 * KB, 256 * KB])
def test_old_answers_make_room_for_new_ones_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Half of a full cache at once took seconds, while nobody was served."""
    monkeypatch.setattr(cache, "BYTES_MOST", MOST)
    store = LocalStore(tmp_path)
    body = os.urandom(size)
    times = 2 * MOST // size

    def put(number: int) -> None:
        asyncio.run(store.put(str(number), body, 60.0 + number))

    assert longest_s(put, times) < 0.05
    assert asyncio.run(store.get(str(times - 1))) is not None
    assert asyncio.run(store.get("0")) is None
    kept = count(tmp_path / ANSWERS, "answers")
    assert MOST / 2 < kept * size < 1.25 * MOST
    store.close()


def test_what_is_long_stale_is_forgotten(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for number in range(20):
        asyncio.run(store.put(f"old {number}", b"x", -cache.STALE_S - 1.0))
    for number in range(5):
        asyncio.run(store.put(str(number), b"x", 60.0))
    assert count(tmp_path / ANSWERS, "answers") == 5
    store.close()


def test_a_cache_of_before_is_kept(tmp_path: Path) -> None:
    """Made without what tells its oldest entries."""
    store = LocalStore(tmp_path)
    asyncio.run(store.put("a", b"x", 60.0))
    store.close()
    with closing(sqlite3.connect(tmp_path / ANSWERS)) as database:
        database.execute("drop index answers_until")
    store = LocalStore(tmp_path)
    assert asyncio.run(store.get("a")) is not None
    store.close()


def test_requests_that_can_be_rated_no_more_are_forgotten_a_few_at_a_time(tmp_path: Path) -> None:
    asked = AskedRequest(key="k", model="m")
    old = LocalBook(tmp_path, keep_s=-1.0)
    with closing(sqlite3.connect(tmp_path / BOOK)) as database:
        rows = [(f"old {number}", time.time() - 1) for number in range(50_000)]
        database.executemany(
            "insert into asked (name, until, key, model, prompt, upstream, side)"
            " values (?, ?, 'k', 'm', '', '', '')",
            rows,
        )
        database.commit()
    old.close()
    book = LocalBook(tmp_path, keep_s=60.0)

    def remember(number: int) -> None:
        asyncio.run(book.remember(f"new {number}", asked))

    assert longest_s(remember, 50) < 0.03
    assert asyncio.run(book.find("new 0")) == asked
    assert count(tmp_path / BOOK, "asked") < 50_000 - 300
    book.close()
