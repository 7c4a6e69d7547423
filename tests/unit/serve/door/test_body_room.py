"""Large bodies that are still to come: how many there may be, and who waits for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from llmops_cli.serve.door import body
from llmops_cli.serve.door.body import received
from llmops_cli.serve.door.body_room import BodyRoom

MB = 1 << 20


class Sender:
    """A client that sends `size` bytes of a body, and the rest when it is let go."""

    def __init__(self, size: int) -> None:
        self.received = 0
        self.go_on = asyncio.Event()
        self._size = size
        self.scope = {"headers": [(b"content-length", b"%d" % size)]}

    async def receive(self) -> dict[str, Any]:
        left = self._size - self.received
        if left <= MB:
            await self.go_on.wait()
        part = min(left, MB)
        self.received += part
        more = self.received < self._size
        return {"type": "http.request", "body": bytes(part), "more_body": more}

    async def body(self, client: str) -> int:
        return len(await received(self.scope, self.receive, most=10 * MB, client=client))


async def settled() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


def run(check: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for twelve megabytes, eight of each."""
    monkeypatch.setattr(body, "_room", BodyRoom(most=12 * MB, each=8 * MB))
    asyncio.run(check())  # type: ignore[arg-type]


def test_a_clients_half_bodies_cost_what_its_room_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        greedy = [Sender(4 * MB) for _ in range(9)]
        tasks = [asyncio.create_task(each.body("greedy")) for each in greedy]
        await settled()
        assert sorted(each.received // MB for each in greedy) == [1] * 7 + [3] * 2
        other = Sender(4 * MB)
        other.go_on.set()
        assert await other.body("other") == 4 * MB, "another client has its own"
        greedy[0].go_on.set()
        assert await tasks[0] == 4 * MB
        await settled()
        assert greedy[2].received == 3 * MB, "who came first is next"
        for task in tasks[2:]:
            task.cancel()
        greedy[1].go_on.set()
        assert await tasks[1] == 4 * MB
        last = Sender(8 * MB)
        last.go_on.set()
        assert await last.body("greedy") == 8 * MB, "who left holds nothing"

    run(check, monkeypatch)


def test_all_together_have_a_bound_and_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        first = [Sender(4 * MB) for _ in range(3)]
        tasks = [asyncio.create_task(each.body(f"k{n}")) for n, each in enumerate(first)]
        await settled()
        later = [Sender(4 * MB) for _ in range(4)]
        clients = ("one", "one", "one", "two")
        tasks += [
            asyncio.create_task(each.body(client))
            for client, each in zip(clients, later, strict=True)
        ]
        await settled()
        assert [each.received // MB for each in later] == [1, 1, 1, 1]
        for each in first[:2]:
            each.go_on.set()
        await settled()
        assert [each.received // MB for each in later] == [3, 1, 1, 3], "one of each client"
        for each in (*first, *later):
            each.go_on.set()
        assert await asyncio.gather(*tasks) == [4 * MB] * 7

    run(check, monkeypatch)


def test_small_bodies_wait_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        full = [asyncio.create_task(Sender(4 * MB).body("k")) for _ in range(9)]
        await settled()
        small = Sender(100_000)
        small.go_on.set()
        assert await small.body("k") == 100_000
        for task in full:
            task.cancel()

    run(check, monkeypatch)
