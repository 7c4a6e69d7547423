"""Which version of its file all workers of a gateway serve."""

from __future__ import annotations

import time

import pytest

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.serve.versions import ConfigVersions, FileStamp


def test_a_wish_to_read_the_file_is_heard_behind_a_clock_that_was_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = GatewayConfig(upstreams={})
    versions = ConfigVersions.beginning(config, policy=None, prompts=[], seen=FileStamp())
    before = time.time()
    monkeypatch.setattr(time, "time", lambda: before - 3600)
    assert versions.wanted_at() <= versions.current().looked_at
    versions.want()
    assert versions.wanted_at() > versions.current().looked_at
    assert versions._file is not None
    versions._file.close()
