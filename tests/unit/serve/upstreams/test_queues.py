"""Who waits for a place gets it in turn, interactive requests first."""

from __future__ import annotations

import asyncio

from llmops_cli.serve.upstreams.queues import OTHERS_EVERY_S, Queues, Waited

PLACE = "an upstream"


def test_places_go_to_interactive_requests_first_and_in_turn() -> None:
    async def go() -> list[str]:
        queues = Queues()
        served = []

        async def wait(name: str, *, urgent: bool) -> None:
            ended = await queues.wait(
                "m", "us", urgent=urgent, again=False, seconds=5.0, upstreams=[PLACE]
            )
            if ended is Waited.WOKEN:
                served.append(name)

        waiting = []
        for name in ("batch", "first", "second"):
            waiting.append(asyncio.ensure_future(wait(name, urgent=name != "batch")))
            await asyncio.sleep(0)
        assert (queues.depth("m"), queues.total(), queues.depth("n")) == (3, 3, 0)
        for _ in waiting:
            queues.freed(PLACE)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)
        assert queues.total() == 0
        return served

    assert asyncio.run(go()) == ["first", "second", "batch"]


def test_who_was_woken_for_nothing_stands_first_again() -> None:
    async def go() -> list[str]:
        queues = Queues()
        served = []

        async def wait(name: str, *, again: bool) -> None:
            await queues.wait("m", "us", urgent=True, again=again, seconds=5.0, upstreams=[PLACE])
            served.append(name)

        waiting = [asyncio.ensure_future(wait("new", again=False))]
        await asyncio.sleep(0)
        waiting.append(asyncio.ensure_future(wait("woken", again=True)))
        await asyncio.sleep(0)
        queues.freed(PLACE)
        queues.freed(PLACE)
        await asyncio.gather(*waiting)
        return served

    assert asyncio.run(go()) == ["woken", "new"]


def test_who_has_waited_too_long_leaves_no_trace() -> None:
    async def go() -> tuple[Waited, int]:
        queues = Queues()
        ended = await queues.wait(
            "m", "us", urgent=True, again=False, seconds=0.001, upstreams=[PLACE]
        )
        return ended, queues.total()

    assert asyncio.run(go()) == (Waited.LATE, 0)


async def standing(queues: Queues, *keys: str) -> list[asyncio.Task[Waited]]:
    """A request of each of these waits."""
    tasks = []
    for key in keys:
        wait = queues.wait("m", key, urgent=True, again=False, seconds=5.0, upstreams=[PLACE])
        tasks.append(asyncio.create_task(wait))
        await asyncio.sleep(0)
    return tasks


def test_keys_come_in_turn_whatever_one_of_them_has_waiting() -> None:
    async def go() -> list[str]:
        queues = Queues()
        keys = ("many", "many", "many", "one", "two", "two")
        tasks = await standing(queues, *keys)
        served = []
        for _ in keys:
            queues.freed(PLACE)
            await asyncio.sleep(0.001)
            served += [
                key
                for key, task in zip(keys, tasks, strict=True)
                if task.done() and task not in seen
            ]
            seen.update(task for task in tasks if task.done())
        return served

    seen: set[asyncio.Task[Waited]] = set()
    assert asyncio.run(go()) == ["many", "one", "two", "many", "two", "many"]


def test_the_key_with_most_gives_a_place_to_another_and_never_to_itself() -> None:
    async def go() -> tuple[bool, bool, bool, list[str]]:
        queues = Queues()
        tasks = await standing(queues, "many", "many", "many", "one")
        for_itself = queues.make_room("m", "many", urgent=True)
        for_new = queues.make_room("m", "new", urgent=True)
        tasks += await standing(queues, "new")
        for_one = queues.make_room("m", "one", urgent=True)
        for _ in tasks:
            queues.freed(PLACE)
        ended = await asyncio.gather(*tasks)
        return for_itself, for_new, for_one, [each.name for each in ended]

    assert asyncio.run(go()) == (
        False,
        True,
        False,  # it would then have as many as the one that gave way
        ["WOKEN", "WOKEN", "DISPLACED", "WOKEN", "WOKEN"],
    )


def test_what_one_more_would_wait_follows_from_its_turn() -> None:
    async def go() -> list[int]:
        queues = Queues()
        tasks = await standing(queues, "many", "many", "many", "many", "one")
        queues.interval_s = 1.0
        waits = [queues.expected_s("m", key, urgent=True) for key in ("many", "one", "new")]
        for _ in tasks:
            queues.freed(PLACE)
        await asyncio.gather(*tasks)
        return [round(each) for each in waits]

    assert asyncio.run(go()) == [6, 4, 3]


def test_who_leaves_in_its_turn_gives_it_on() -> None:
    async def go() -> str:
        queues = Queues()
        first, second = await standing(queues, "one", "two")
        queues.freed(PLACE)
        first.cancel()
        return (await second).name

    assert asyncio.run(go()) == "WOKEN"


def test_batch_gives_way_first_and_displaces_batch_alone() -> None:
    async def go() -> list[str]:
        queues = Queues()
        urgent = await standing(queues, "a", "a")
        assert not queues.make_room("m", "b", urgent=False)
        slow = [
            asyncio.create_task(
                queues.wait("m", "a", urgent=False, again=False, seconds=5.0, upstreams=[PLACE])
            )
            for _ in range(2)
        ]
        await asyncio.sleep(0)
        assert queues.make_room("m", "b", urgent=False)
        assert queues.make_room("m", "b", urgent=True)
        for _ in range(2):
            queues.freed(PLACE)
        ended = await asyncio.gather(*urgent, *slow)
        return [each.name for each in ended]

    assert asyncio.run(go()) == ["WOKEN", "WOKEN", "DISPLACED", "DISPLACED"]


def test_batch_that_is_woken_for_nothing_comes_behind_interactive_requests() -> None:
    async def go() -> list[bool]:
        queues = Queues()
        batch = queues.wait("m", "us", urgent=False, again=True, seconds=5.0, upstreams=[PLACE])
        waiting = asyncio.create_task(batch)
        await asyncio.sleep(0)
        (urgent,) = await standing(queues, "us")
        queues.freed(PLACE)
        await asyncio.sleep(0.001)
        done = [waiting.done(), urgent.done()]
        queues.freed(PLACE)
        await waiting
        return done

    assert asyncio.run(go()) == [False, True]


def test_who_takes_no_place_leaves_it_to_the_next() -> None:
    async def go() -> str:
        queues = Queues()
        first, second = await standing(queues, "one", "two")
        queues.freed(PLACE)
        assert await first is Waited.WOKEN
        queues.pass_on("m")
        return (await second).name

    assert asyncio.run(go()) == "WOKEN"


def test_who_has_no_place_keeps_nobody_waiting() -> None:
    """Only a full upstream may be asked for the first: the place that came free is the second's."""

    async def go() -> tuple[list[bool], bool, bool]:
        queues = Queues()
        full = {"is": True}
        stuck = queues.wait(
            "m",
            "one",
            urgent=True,
            again=False,
            seconds=5.0,
            upstreams=[PLACE],
            fits=lambda: not full["is"],
        )
        again = queues.wait(
            "m",
            "one",
            urgent=True,
            again=True,
            seconds=5.0,
            upstreams=[PLACE],
            fits=lambda: not full["is"],
        )
        tasks = [asyncio.create_task(each) for each in (stuck, again)]
        await asyncio.sleep(0)
        has_claims_before = queues.has_claims("m")
        tasks += await standing(queues, "one")
        has_claims = queues.has_claims("m")
        queues.freed(PLACE)
        await asyncio.sleep(0.001)
        done = [task.done() for task in tasks]
        full["is"] = False
        queues.freed(PLACE)
        queues.freed(PLACE)
        await asyncio.gather(*tasks)
        return done, has_claims_before, has_claims

    assert asyncio.run(go()) == ([False, False, True], False, True)


def test_places_of_other_upstreams_ask_those_who_wait_seldom_and_reach_them_still() -> None:
    """All were asked whenever any upstream answered anybody: that held the loop."""
    asked = 0

    def fits() -> bool:
        nonlocal asked
        asked += 1
        return is_added

    is_added = False

    async def go() -> Waited:
        nonlocal is_added
        queues = Queues()
        wait = queues.wait(
            "m", "us", urgent=True, again=False, seconds=5.0, fits=fits, upstreams=[PLACE]
        )
        waiting = asyncio.create_task(wait)
        await asyncio.sleep(0)
        for _ in range(100):
            queues.freed("another")
        is_added = True
        await asyncio.sleep(OTHERS_EVERY_S)
        queues.freed("another")
        return await waiting

    assert asyncio.run(go()) is Waited.WOKEN
    assert asked < 10
