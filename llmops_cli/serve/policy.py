"""The guard of a configuration, by a policy that is read once for all workers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard

DEFAULT = "default"


def read_policy(named: str | None, beside: Path | None) -> str | None:
    """What the file says now, as JSON; None without a guard. Raises: UsageError."""
    if named is None:
        return None
    from llmops_cli.guard import policy

    if named == DEFAULT:
        found = policy.DEFAULT
    else:
        folder = beside or Path()
        found = policy.load_policy(folder / Path(named).expanduser())
    return msgspec.json.encode(found).decode()


def guard_of(policy: str | None) -> Guard | None:
    if policy is None:
        return None
    from llmops_cli.guard.check import Guard
    from llmops_cli.guard.policy import Policy

    return Guard(msgspec.json.decode(policy, type=Policy))


def digest_of(policy: str | None) -> str:
    if policy is None:
        return ""
    return hashlib.sha256(policy.encode()).hexdigest()[:16]
