"""The audit log's file: what stands in it, and how it is turned over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.serve.watch import audit
from llmops_cli.serve.watch.audit import AuditEntry, AuditLog


def entry(name: str) -> AuditEntry:
    return AuditEntry(at="now", request=name, route="/v1/chat/completions", status=200)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_is_not_said_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    log.write(entry("a"))
    log.close()
    (first,) = lines(path)
    assert first == {
        "at": "now",
        "request": "a",
        "route": "/v1/chat/completions",
        "status": 200,
    }
    assert path.stat().st_mode & 0o077 == 0


def test_a_full_file_is_turned_over_and_its_writers_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "TURN_BYTES", 200)
    path = tmp_path / "audit.jsonl"
    one = AuditLog(path)
    other = AuditLog(path)
    for number in range(12):
        one.write(entry(f"{number:03d}"))
    other.look()
    other.write(entry("other"))
    kept = sorted(tmp_path.glob("audit.jsonl.[0-9]"))
    found = [line["request"] for file in [*reversed(kept), path] for line in lines(file)]
    assert found[-1] == "other"
    assert found[:-1] == sorted(found[:-1])
    assert len(kept) == audit.KEPT
    assert one.lost == 0


def test_a_log_that_is_off_writes_nothing(tmp_path: Path) -> None:
    log = AuditLog(None, bodies=True)
    log.write(entry("a"))
    log.look()
    log.close()
    assert not log.bodies
    assert list(tmp_path.iterdir()) == []


def test_moments_are_in_order_and_to_the_millisecond() -> None:
    first = audit.now()
    assert first <= audit.now()
    assert len(first) == len("2026-01-02T03:04:05.678Z")
