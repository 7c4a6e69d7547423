"""What an operator may order of a canary, and what stands in the history then."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from llmops_cli.gateway_file.model import CanaryConfig, ModelConfig
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.rollout.history import Action, entries
from llmops_cli.serve.state import connect
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.upstreams.canary import CanaryStatus, Sighting
from llmops_cli.serve.upstreams.canary_order import CanaryOrder


def begun(folder: Path) -> Canaries:
    canaries = Canaries(folder)
    canary = CanaryConfig(use=["new"], steps=[10, 50, 100])
    canaries.configure({"m": ModelConfig(pool=["old"], canary=canary)}, digest="d1")
    return canaries


def no_check(database: sqlite3.Connection) -> None:
    del database


def ordered(canaries: Canaries, action: str, percent: int | None = None) -> bool:
    order = CanaryOrder(
        action=Action(action),
        percent=percent,
        who="ops",
        key="k1",
        reason="because",
    )
    return canaries.order("m", order, no_check)


def test_each_order_is_obeyed_once_and_by_all_workers(tmp_path: Path) -> None:
    canaries = begun(tmp_path)
    other = begun(tmp_path)
    seen = []
    for action, percent in (
        ("canary", None),
        ("canary", 50),
        ("canary", 50),
        ("promote", None),
        ("promote", None),
        ("rollback", None),
        ("rollback", None),
        ("canary", None),
    ):
        changed = ordered(canaries, action, percent)
        other.tick()
        seen.append((changed, other.percent("m")))
    assert seen == [
        (False, 10),
        (True, 50),
        (False, 50),
        (True, 100),
        (False, 100),
        (True, 0),
        (False, 0),
        (True, 10),
    ]
    history = entries(connect(tmp_path), 10)
    assert [(each.action, each.percent) for each in history] == [
        (Action.CANARY, 10),
        (Action.ROLLBACK, 0),
        (Action.PROMOTE, 100),
        (Action.CANARY, 50),
    ]
    assert {(each.who, each.key, each.digest, each.reason) for each in history} == {
        ("ops", "k1", "d1", "because")
    }


def test_what_was_rolled_back_is_not_promoted_unseen(tmp_path: Path) -> None:
    canaries = begun(tmp_path)
    ordered(canaries, "rollback")
    assert canaries.states()["m"].reason == "by ops: because"
    with pytest.raises(Refusal, match="begin it anew") as refusal:
        ordered(canaries, "promote")
    assert refusal.value.status == 409
    assert canaries.states()["m"].state is CanaryStatus.ROLLED_BACK


def test_a_share_that_is_no_step_changes_nothing(tmp_path: Path) -> None:
    canaries = begun(tmp_path)
    with pytest.raises(Refusal, match="10, 50, 100"):
        ordered(canaries, "canary", 51)
    assert (canaries.percent("m"), entries(connect(tmp_path), 10)) == (10, [])


def test_a_check_that_refuses_leaves_all_as_it_was(tmp_path: Path) -> None:
    canaries = begun(tmp_path)

    def refuse(database: sqlite3.Connection) -> None:
        raise Refusal(409, "no", code="state_changed")

    order = CanaryOrder(action=Action.PROMOTE, who="ops", key="k1")
    with pytest.raises(Refusal):
        canaries.order("m", order, refuse)
    canaries.tick()
    assert canaries.percent("m") == 10


def test_what_the_canary_decides_itself_is_in_the_history(tmp_path: Path) -> None:
    canaries = begun(tmp_path)
    for _ in range(40):
        canaries.note("m", "stable", Sighting(ttft_s=0.1))
        canaries.note("m", "canary", Sighting.ERROR)
    canaries.tick()
    entry = entries(connect(tmp_path), 1)[0]
    assert (entry.who, entry.action, entry.percent) == ("gateway", Action.ROLLBACK, 0)
    assert entry.reason == "errors 100.0% against 0.0%"
