"""What a load worker writes when the run is over for it."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from llmops_cli.bench.worker import _Out
from tests.unit.bench.test_broken_runs import record


def test_what_ends_with_a_killed_run_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard ends the engine when the run is killed, and workers see their streams break off."""
    plan: Any = SimpleNamespace(spool=str(tmp_path / "spool"))
    failed = msgspec.structs.replace(record(1), error="connection closed")
    out = _Out(plan)
    out.emit(failed)
    monkeypatch.setattr(os, "getppid", lambda: 1)
    out.emit(record(2))
    with pytest.raises(SystemExit):
        out.emit(failed)
    out._file.close()
    assert (tmp_path / "spool").read_bytes().count(b"\n") == 2
