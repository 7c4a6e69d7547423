"""API keys from the environment."""

from __future__ import annotations

import pytest

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.runtime.keys import api_key, bearer


def test_a_key_that_was_named_must_be_there() -> None:
    assert api_key("MY_KEY", {"MY_KEY": " abc \n"}) == "abc"
    assert api_key("LLMOPS_API_KEY", {}) == ""
    assert api_key(None, {"LLMOPS_API_KEY": "abc"}) == ""
    for environ in ({}, {"MY_KEY": " "}):
        with pytest.raises(EnvironmentMissing, match="MY_KEY"):
            api_key("MY_KEY", environ)


def test_no_key_no_header() -> None:
    assert bearer("") == {}
    assert bearer("abc") == {"Authorization": "Bearer abc"}
