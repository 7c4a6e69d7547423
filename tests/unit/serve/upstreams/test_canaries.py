"""A canary's steps, over several workers and reloads."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from llmops_cli.gateway_file.model import CanaryConfig, ModelConfig
from llmops_cli.serve.state import connect
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.upstreams.canary import CanaryStatus, Sighting

STEP_S = 1e-6


def models(**changes: object) -> dict[str, ModelConfig]:
    values = {"use": ["new"], "steps": [10, 100], "step_s": STEP_S, "requests": 20, **changes}
    canary = CanaryConfig(**values)  # type: ignore[arg-type]
    return {"m": ModelConfig(pool=["old"], canary=canary)}


def begun(folder: Path, **changes: object) -> Canaries:
    found = Canaries(folder)
    found.configure(models(**changes))
    return found


def serve(canaries: Canaries, count: int, *, good: bool = True) -> None:
    fine = Sighting(ttft_s=0.1)
    for _ in range(count):
        canaries.note("m", "stable", fine)
        canaries.note("m", "canary", fine if good else Sighting.ERROR)


def test_each_step_is_taken_when_enough_was_seen(tmp_path: Path) -> None:
    canaries = begun(tmp_path)
    seen = [canaries.percent("m")]
    for count in (19, 1, 20):
        serve(canaries, count)
        canaries.tick()
        seen.append(canaries.percent("m"))
    assert seen == [10, 10, 100, 100]
    assert canaries.states()["m"].state is CanaryStatus.DONE


def test_workers_add_what_they_saw(tmp_path: Path) -> None:
    one = begun(tmp_path)
    other = begun(tmp_path)
    serve(one, 12)
    serve(other, 12)
    one.tick()
    assert one.percent("m") == 10
    other.tick()
    one.tick()
    assert (one.percent("m"), other.percent("m")) == (100, 100)


def test_errors_take_it_back_for_all_and_for_good(tmp_path: Path) -> None:
    one = begun(tmp_path)
    serve(one, 30, good=False)
    one.tick()
    other = begun(tmp_path)
    for worker in (one, other):
        state = worker.states()["m"]
        assert worker.percent("m") == 0
        assert state.state is CanaryStatus.ROLLED_BACK
        assert state.reason == "errors 100.0% against 0.0%"
    serve(other, 50)
    other.tick()
    assert other.percent("m") == 0


@pytest.mark.parametrize("step_s", [STEP_S, 600.0])
def test_a_changed_canary_begins_anew(tmp_path: Path, step_s: float) -> None:
    canaries = begun(tmp_path)
    serve(canaries, 30, good=False)
    canaries.tick()
    canaries.configure(models(steps=[25, 100], step_s=step_s))
    assert canaries.percent("m") == 25
    canaries.configure({})
    assert canaries.percent("m") == 0
    assert canaries.states() == {}


def test_who_holds_the_database_keeps_nobody_waiting_and_loses_nothing(tmp_path: Path) -> None:
    """A shell that was left in the middle of a change stopped every gateway for 10 s of each 11."""
    canaries = begun(tmp_path)
    serve(canaries, 20)
    holder = connect(tmp_path)
    holder.execute("begin immediate")
    start = time.monotonic()
    canaries.tick()
    assert time.monotonic() - start < 2.0
    assert canaries.percent("m") == 10
    holder.execute("rollback")
    canaries.tick()
    assert canaries.percent("m") == 100
    holder.close()
