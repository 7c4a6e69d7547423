"""This machine's own speed: plausible, and kept until it is old."""

from __future__ import annotations

import msgspec
import pytest

from llmops_cli.runtime.bandwidth import FILE, MachineSpeed, measured_speed
from llmops_cli.runtime.paths import cache_dir


def test_a_machine_is_measured_once_and_its_file_may_be_broken(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = measured_speed()
    assert 1e8 < first.bytes_per_s < 1e13
    assert 1e8 < first.flops < 1e14
    assert measured_speed() == first
    old = msgspec.structs.replace(first, measured_at_s=first.measured_at_s - 1e7)
    (cache_dir() / FILE).write_bytes(msgspec.json.encode(old))
    assert measured_speed().measured_at_s > old.measured_at_s
    other = msgspec.structs.replace(first, node="another", flops=1.0)
    (cache_dir() / FILE).write_bytes(msgspec.json.encode(other))
    assert measured_speed().flops > 1, "another machine shares the cache"
    for broken in (b"{", b"", b'{"node": "\xff"}', b"[" * 100_000):
        (cache_dir() / FILE).write_bytes(broken)
        assert isinstance(measured_speed(), MachineSpeed)


def test_a_busy_moment_is_not_kept_for_a_week_and_the_fastest_counts(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("os.getloadavg", lambda: (99.0, 99.0, 99.0))
    first = measured_speed()
    assert first.is_busy
    kept = msgspec.structs.replace(
        first, measured_at_s=first.measured_at_s - 100, flops=1e15, bytes_per_s=1.0
    )
    (cache_dir() / FILE).write_bytes(msgspec.json.encode(kept))
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    found = measured_speed()
    assert not found.is_busy
    assert found.flops == 1e15
    assert found.bytes_per_s > 1e8
    assert measured_speed() == found


def test_what_a_busy_machine_did_best_counts_for_a_week(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is measured meanwhile."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("os.getloadavg", lambda: (99.0, 99.0, 99.0))
    first = measured_speed()
    best = msgspec.structs.replace(first, flops=1e15, bytes_per_s=1e15)
    (cache_dir() / FILE).write_bytes(msgspec.json.encode(best))
    passed_s = 0.0
    monkeypatch.setattr("time.time", lambda: first.measured_at_s + passed_s)
    for days, is_kept in ((3, True), (6, True), (8, False)):
        passed_s = days * 24 * 3600.0
        found = measured_speed()
        assert found.is_busy
        assert (found.flops == 1e15, found.bytes_per_s == 1e15) == (is_kept, is_kept)
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    (cache_dir() / FILE).write_bytes(msgspec.json.encode(best))
    for days, is_kept in ((6, True), (6.5, True), (8, False)):
        passed_s = days * 24 * 3600.0
        found = measured_speed()
        assert not found.is_busy
        assert (found.flops == 1e15, found.bytes_per_s == 1e15) == (is_kept, is_kept)
