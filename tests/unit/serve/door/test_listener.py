"""The socket that clients connect to: what is said where there can be none."""

from __future__ import annotations

import contextlib

import pytest

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.serve.door.listener import bind


def test_a_port_in_use_and_an_address_of_others_have_hints_of_their_own() -> None:
    with contextlib.closing(bind("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(EnvironmentMissing) as raised:
            bind("127.0.0.1", port)
    assert raised.value.hint == "choose another --port"
    with pytest.raises(EnvironmentMissing) as raised:
        bind("192.0.2.1", 0)
    assert raised.value.hint == "choose another --host"
