"""Which values of JSON are the same: true is not 1, and 1.0 is 1."""

import json
from typing import Any

# Any: whatever JSON holds.
Value = Any


def key_of(value: Value) -> str:
    """Equal for the same values, so that long lists are compared in one pass."""
    return json.dumps(plain(value), sort_keys=True)


def keys_of(values: list[Value]) -> set[str]:
    return {key_of(value) for value in values}


def plain(value: Value) -> Value:
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole else value


def common(first: list[Value], second: list[Value]) -> list[Value]:
    """Those of the first that the second has, too."""
    keys = keys_of(second)
    return [value for value in first if key_of(value) in keys]


def without_repeats(values: list[Value]) -> list[Value]:
    return [*{key_of(value): value for value in values}.values()]
