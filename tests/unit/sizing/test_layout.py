"""Strategies as degrees, and what is refused."""

from __future__ import annotations

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.layout import STRATEGIES, Degrees, Layout, layout_of


def _layout(strategy: str, devices: int = 16, **degrees: object) -> Layout:
    return layout_of(
        strategy,
        devices=devices,
        devices_per_node=8,
        degrees=Degrees(**degrees),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "single"])
def test_degrees_multiply_to_the_devices(strategy: str) -> None:
    assert _layout(strategy).devices == 16


def test_shares_are_the_ranks_that_read_rows_of_their_own() -> None:
    assert _layout("fsdp").shares == 16
    assert _layout("hsdp").shares == 16
    assert _layout("tp", tensor=16).shares == 1
    assert _layout("fsdp+tp", tensor=4).shares == 4
    assert _layout("fsdp+pp", pipeline=2).shares == 8


def test_a_node_is_the_group_where_none_is_asked_for() -> None:
    assert _layout("hsdp").shards == 8
    assert _layout("fsdp+tp").tensor == 8
    assert _layout("fsdp+pp").pipeline == 2


@pytest.mark.parametrize(
    ("strategy", "degrees", "words"),
    [
        ("single", {}, "one process"),
        ("hsdp", {"shard_size": 5}, "--shard-size 5 does not divide"),
        ("hsdp", {"shard_size": 16}, "that is fsdp"),
        ("fsdp+tp", {"tensor": 3}, "--tensor-parallel 3 does not divide"),
        ("pp", {"pipeline": 4}, "is over all 16 devices"),
        ("dpp", {}, "unknown strategy"),
    ],
)
def test_what_cannot_be_is_refused(strategy: str, degrees: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        _layout(strategy, **degrees)
