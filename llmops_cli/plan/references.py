"""Rows of published values: their form, their units, and what ours is beside them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in
from llmops_cli.sizing.figures import EXACT_SHARE

GIB = 2**30
UNITS = {
    "tib": 2**40,
    "gib": 2**30,
    "mib": 2**20,
    "kib": 2**10,
    "tb": 1e12,
    "gb": 1e9,
    "mb": 1e6,
    "kb": 1e3,
}
ROW_HINT = '[{"quantity": ..., "inputs": {...}, "value": ..., "unit": ..., "source": ...}]'
LARGEST = 1e18
COUNTED = frozenset({"gpus", "tokens", "ctx", "batch", "prompt", "nodes", "max_model_len"})
"""Inputs of which there is at least one."""
_NUMBER = re.compile(r"^\s*([\d.,]+)\s*([A-Za-z]*)")


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """One published value. Fields that are not read here are left alone."""

    quantity: str
    inputs: dict[str, Any]  # Any: each quantity has inputs of its own
    value: Any  # Any: a number, a list, a mapping or a text
    unit: str | None = None
    source: str = ""

    def text(self, name: str) -> str | None:
        found = self.inputs.get(name)
        return None if found is None else str(found)

    def number(self, name: str) -> float | None:
        """None where the row has none. Raises: Unanswered for a size that nothing has."""
        found = self.inputs.get(name)
        if isinstance(found, bool) or not isinstance(found, int | float):
            return None
        if not 0 <= found <= LARGEST:
            raise Unanswered(f"'{name}' is {found:g}")
        if found == 0 and name in COUNTED:
            raise Unanswered(f"'{name}' is 0")
        return float(found)

    @property
    def unit_size(self) -> float:
        """Bytes of one unit; 1 for what is no size. `GB(2^30)` is binary, as it says."""
        unit = (self.unit or "").strip().lower()
        if "2^30" in unit:
            return GIB
        word = re.match(r"[a-z]+", unit)
        return UNITS.get(word.group(0), 1.0) if word else 1.0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """In bytes, tokens/s and the like; for a row of several values a mapping or a list."""

    value: Any  # Any: as the row's own value
    low: Any
    high: Any


class Unanswered(Exception):
    """A row lacks what an answer needs, or no rule is known; the text names it."""


def exact(value: float, share: float = EXACT_SHARE) -> Answer:
    return Answer(value=value, low=value * (1 - share), high=value * (1 + share))


def read_references(path: Path) -> list[Reference]:
    """Raises: UsageError for a file that is no list of rows."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    try:
        found = msgspec.json.decode(raw, type=list[Reference])
    except UNREADABLE:
        reason = wrong_in(raw, list[Reference])
        raise UsageError(
            f"{path} is no list of published values: {reason}", hint=ROW_HINT
        ) from None
    if not found:
        raise UsageError(f"{path} has no rows", hint=ROW_HINT)
    return found


def published_number(value: object) -> float | None:
    """Of a number, or of a text that begins with one and its unit: `148.56 GB` in bytes."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, str):
        return None
    found = _NUMBER.match(value)
    if found is None:
        return None
    return float(found[1].replace(",", "")) * UNITS.get(found[2].lower(), 1.0)
