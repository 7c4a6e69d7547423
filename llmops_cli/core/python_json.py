"""JSON as Python's own library writes it, which is how models' files are made."""

from __future__ import annotations

import json
from typing import Any

import msgspec


def object_in(raw: bytes) -> dict[str, Any]:  # Any: whatever JSON holds
    """Infinity, -Infinity and NaN, which plain JSON has not, are null here: no size is one of them.

    Published configurations have them: `"time_step_limit": [0.0, Infinity]` of Mamba 2.
    Raises: one of `core.wrong_json.UNREADABLE` for what is no JSON object.
    """
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.DecodeError:
        found = _with_nulls(raw)
        if not isinstance(found, dict):
            raise
        return found


def _with_nulls(raw: bytes) -> object:
    try:
        return json.loads(raw.decode(), parse_constant=lambda _: None)
    except ValueError:  # Python refuses whole numbers of thousands of digits too
        return None
