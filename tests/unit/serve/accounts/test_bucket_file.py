"""Buckets in a file: what they grant, over whose death, and after a restart."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.serve.accounts.bucket_file import BucketFile, MachineLimiter
from llmops_cli.serve.accounts.charge import Charge


@settings(max_examples=60, deadline=None)
@given(
    most=st.integers(1, 100),
    steps=st.lists(st.tuples(st.floats(0, 30), st.floats(0.1, 50), st.floats(0, 1)), max_size=40),
)
def test_a_bucket_grants_what_flowed_in_and_no_more(
    most: int, steps: list[tuple[float, float, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    now = [1000.0]
    folder = tmp_path_factory.mktemp("limits")
    buckets = BucketFile(folder, clock=lambda: now[0])
    used = 0.0
    largest = 0.0
    for wait_s, amount, returned in steps:
        now[0] += wait_s
        if buckets.take([Charge("key:a", "tokens", most, amount)]).refused is None:
            back = amount * returned
            buckets.give_back([Charge("key:a", "tokens", most, back)])
            used += amount - back
            largest = max(largest, amount - most)
    assert used <= most + (now[0] - 1000.0) * most / 60 + max(0.0, largest) + 1e-6
    buckets.close()


def test_streams_of_a_killed_process_are_given_back(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from llmops_cli.serve.accounts.bucket_file import BucketFile\n"
        "from llmops_cli.serve.accounts.charge import Charge\n"
        "buckets = BucketFile(Path(sys.argv[1]))\n"
        "for _ in range(3): assert buckets.take([Charge('key:a', 'streams', 4, "
        "1)]).refused is None\n"
        "print('taken', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"taken\n"
    buckets = BucketFile(tmp_path)
    one = [Charge("key:a", "streams", 4, 1)]
    assert buckets.take(one).refused is None
    assert buckets.take(one).refused is not None
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert [buckets.take(one).refused is None for _ in range(4)] == [True, True, True, False]
    buckets.close()


def test_the_file_keeps_counts_over_a_restart(tmp_path: Path) -> None:
    charge = [Charge("key:a", "requests", 10, 1.0)]
    first = MachineLimiter(BucketFile(tmp_path))
    for _ in range(10):
        assert asyncio.run(first.take(charge)).refused is None
    again = MachineLimiter(BucketFile(tmp_path))
    assert asyncio.run(again.take(charge)).refused is not None


def test_a_charge_that_does_not_fit_takes_nothing_of_the_others(tmp_path: Path) -> None:
    buckets = BucketFile(tmp_path, clock=lambda: 1000.0)
    requests = Charge("key:a", "requests", 10, 1.0)
    tokens = Charge("key:a", "tokens", 100, 60.0)
    assert buckets.take([requests, tokens]).refused is None
    decision = buckets.take([requests, tokens])
    assert decision.refused == tokens
    assert [bucket.left for bucket in decision.buckets] == [9.0, 40.0]
    assert [bucket.wait_s for bucket in decision.buckets] == [0.0, pytest.approx(12.0)]
    buckets.close()


def test_who_asks_for_more_than_there_ever_is_waits_for_a_full_bucket(tmp_path: Path) -> None:
    now = [1000.0]
    buckets = BucketFile(tmp_path, clock=lambda: now[0])
    large = [Charge("key:a", "tokens", 10, 25.0)]
    assert buckets.take(large).refused is None
    now[0] += 60.0
    assert buckets.take(large).refused is not None, "15 are owed, and 10 came"
    now[0] += 90.0
    assert buckets.take(large).refused is None
    buckets.close()


@pytest.mark.parametrize("has_holes", [False, True])
def test_every_row_has_its_place_on_the_disk_from_the_start(
    has_holes: bool,
    tmp_path: Path,
) -> None:
    """A full disk would end the process that first writes to a page without one."""
    path = tmp_path / "limits"
    if has_holes:
        BucketFile(tmp_path).close()
        whole = path.read_bytes()
        path.write_bytes(whole[:4096])
        with path.open("r+b") as file:
            file.truncate(len(whole))
    BucketFile(tmp_path).close()
    found = path.stat()
    assert found.st_blocks * 512 >= found.st_size
