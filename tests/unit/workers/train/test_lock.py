"""A folder belongs to one run at a time, and who has it is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from _shared.protocol import JobError
from train.lock import claim


def test_a_second_run_is_refused_with_the_process_of_the_first(tmp_path: Path) -> None:
    first = claim(tmp_path / "run")
    with pytest.raises(JobError, match=f"in use by process {os.getpid()} on") as refused:
        claim(tmp_path / "run", patience_s=0.0)
    assert refused.value.kind == "UsageError"
    first.close()
    claim(tmp_path / "run", patience_s=0.0).close()
