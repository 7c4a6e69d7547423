"""What Python writes as JSON is read, also where plain JSON has no word for it."""

from __future__ import annotations

import json
import math

import pytest

from llmops_cli.core.python_json import object_in
from llmops_cli.core.wrong_json import UNREADABLE


def test_what_plain_json_has_not_is_null() -> None:
    written = {"time_step_limit": [0.0, math.inf], "low": -math.inf, "none": math.nan, "size": 5}
    found = object_in(json.dumps(written).encode())
    assert found == {"time_step_limit": [0.0, None], "low": None, "none": None, "size": 5}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"Infinity",
        b"[NaN]",
        b'{"a": Infinite}',
        b'{"\xff": 1}',
        b"[" * 100_000,
        b'{"a": ' + b"9" * 9_000 + b"}",
    ],
    ids=range(9),
)
def test_what_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(UNREADABLE):
        object_in(raw)
