"""The guard of a configuration, by a policy that is read once for all workers."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from llmops_cli.runtime.paths import at_home

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard
    from llmops_cli.guard.policy import PolicySide

DEFAULT = "default"
ASKING_A_URL = "moderation"
"""The detector that sends a text to somebody else."""


def read_policy(named: str | None, beside: Path | None) -> str | None:
    """What the file says now, as JSON; None without a guard. Raises: UsageError."""
    if named is None:
        return None
    from llmops_cli.guard import policy
    from llmops_cli.guard.models import ready_policy

    if named == DEFAULT:
        found = policy.DEFAULT
    else:
        folder = beside or Path()
        found = ready_policy(folder / at_home(named))
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


def asking_only(guard: Guard, hosts: Collection[str]) -> Guard:
    """The guard without detectors that would send a text to any other host than this machine."""
    from llmops_cli.guard.check import Guard

    policy = guard.policy
    routes = {}
    for route, (asked, said) in policy.routes.items():
        routes[route] = (_asking_only(asked, hosts), _asking_only(said, hosts))
    kept = msgspec.structs.replace(
        policy,
        input=_asking_only(policy.input, hosts),
        output=_asking_only(policy.output, hosts),
        routes=routes,
        roles={role: _asking_only(side, hosts) for role, side in policy.roles.items()},
    )
    return guard if kept == policy else Guard(kept)


def _asking_only(side: PolicySide, hosts: Collection[str]) -> PolicySide:
    from llmops_cli.guard.policy import Detector, PolicySide

    asking = side.detectors.get(ASKING_A_URL)
    if asking is None or not asking.url or is_near(asking.url, hosts):
        return side
    return PolicySide(detectors={**side.detectors, ASKING_A_URL: Detector()})


def is_near(url: str, hosts: Collection[str]) -> bool:
    """Whether an address is this machine's, or one of these hosts'."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host in hosts:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
