"""The kernel's own word for what of a file is in memory."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from llmops_cli.runtime.page_cache import cached_share

SIZE_BYTES = 1 << 20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux has mincore")
def test_what_was_just_written_is_there_and_what_was_let_go_is_not(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(os.urandom(SIZE_BYTES))
    assert cached_share(file) == 1.0
    assert cached_share(tmp_path) == 1.0
    descriptor = os.open(file, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    share = cached_share(file)
    assert share is not None
    assert share <= 1.0


def test_nothing_has_no_share(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert cached_share(tmp_path / "empty") is None
    assert cached_share(tmp_path / "absent") is None
