"""What neighbouring texts say together, as the model reads them: an attack cut in two is one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

RoleText = tuple[str, str]
"""(role, text)."""

OPERATORS = frozenset(("system", "developer", "assistant", "tool_call", "definition"))
"""Roles whose texts stand between those of users, documents and tools, and start nothing."""
END_CHARS = 1_000
"""Of a long text's beginning and end: its middle is nobody's neighbour."""


def of_others(texts: Sequence[RoleText]) -> list[RoleText]:
    """Those of users, documents and tools, which an attack can be cut over."""
    return [(role, text) for role, text in texts if role not in OPERATORS]


def neighbours_of(texts: Sequence[RoleText]) -> list[str]:
    """Texts one after the other; none for a single one.

    With a line between them, and with nothing between where a word may be cut.
    """
    ends = [_ends_of(text) for _, text in texts if text]
    if len(ends) < 2:
        return []
    joined = ["\n".join(ends)]
    if _is_word_cut(ends):
        joined.append("".join(ends))
    return joined


def _ends_of(text: str) -> str:
    if len(text) <= 2 * END_CHARS:
        return text
    return f"{text[:END_CHARS]}\n{text[-END_CHARS:]}"


def _is_word_cut(ends: Sequence[str]) -> bool:
    return any(
        before[-1].isalnum() and after[0].isalnum() for before, after in itertools.pairwise(ends)
    )
