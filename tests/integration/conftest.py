"""What more than one file of tests here starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gateway import Starter, Upstream


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    found = Upstream()
    yield found
    found.close()


@pytest.fixture
def upstreams() -> Iterator[Callable[[int], list[Upstream]]]:
    """So many of them."""
    made: list[Upstream] = []

    def more(count: int) -> list[Upstream]:
        made.extend(Upstream() for _ in range(count))
        return made[-count:]

    yield more
    for each in made:
        each.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts gateways with a state folder of their own."""
    starter = Starter(tmp_path)
    yield starter
    starter.stop()
