"""Whether a host is the machine that asks."""

from __future__ import annotations

import ipaddress

LOCALHOST = "localhost"


def is_this_machine(host: str) -> bool:
    """Loopback, `localhost` and what ends so (RFC 6761)."""
    if host == LOCALHOST or host.endswith(f".{LOCALHOST}"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
