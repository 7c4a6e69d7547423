"""What should answer is settled before anything is started."""

from __future__ import annotations

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.serving.target import EngineTarget, check_target

URL = "http://127.0.0.1:9"


def test_a_server_is_named_once() -> None:
    """The one that is passed over would stand in the report, with a password if it has one."""
    check_target(EngineTarget(backend="remote", url=URL))
    check_target(EngineTarget(backend="remote", options={"url": URL}))
    with pytest.raises(UsageError, match="are two servers"):
        check_target(EngineTarget(backend="remote", url=URL, options={"url": "http://me:pw@h"}))


def test_an_engine_of_ours_is_no_server_elsewhere() -> None:
    with pytest.raises(UsageError, match="would start another"):
        check_target(EngineTarget(backend="sim", url=URL))
