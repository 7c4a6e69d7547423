"""A short soak; `make soak` runs the long one."""

from __future__ import annotations

import pytest

from benchmarks import soak

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_nothing_is_lost_count_of(workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Requests, streams, mistakes and clients that leave: the same counts in the client, the
    metrics and the log.
    """
    good = soak.main(["--requests", "8000", "--workers", workers, "--growth", "0.2"])
    assert good, capsys.readouterr().out
