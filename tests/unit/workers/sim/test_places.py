"""Places are given in order, never more than there are, and a large request runs alone."""

from __future__ import annotations

import asyncio

from sim.places import Places


def test_who_does_not_fit_waits_in_line() -> None:
    async def run() -> list[str]:
        order: list[str] = []
        places = Places(most=2, kv_tokens=100)

        async def request(name: str, need: int) -> None:
            waited = await places.enter(need)
            order.append(f"{name}{' waited' if waited else ''}")
            assert places.running <= 2
            await asyncio.sleep(0)
            places.leave(need)

        await asyncio.gather(
            *(
                request(name, need)
                for name, need in [
                    ("a", 60),
                    ("b", 50),
                    ("c", 10),
                    ("huge", 500),
                    ("d", 1),
                ]
            )
        )
        assert (places.running, places.waiting, places.kv_use) == (0, 0, 0.0)
        return order

    assert asyncio.run(run()) == ["a", "b waited", "c waited", "huge waited", "d waited"]
