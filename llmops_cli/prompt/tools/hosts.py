"""A list of hosts that may be asked, and which addresses they may have."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from llmops_cli.core.errors import UsageError

USUAL_PORTS = (80, 443)


class HostRule(msgspec.Struct, frozen=True):
    """A host, or `*.DOMAIN` for all below it; a port where the list names one."""

    host: str
    port: int | None

    def allows(self, host: str, port: int) -> bool:
        ports = USUAL_PORTS if self.port is None else (self.port,)
        if port not in ports:
            return False
        if self.host.startswith("*."):
            return host.endswith(self.host[1:])
        return host == self.host


class HostList:
    """What a tool may ask. Raises: UsageError for what is no host."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._rules = [_rule(text) for text in texts]

    def __str__(self) -> str:
        return ", ".join(self._texts)

    def allows(self, host: str, port: int) -> bool:
        return any(rule.allows(host, port) for rule in self._rules)

    def allows_address(self, host: str, address: str) -> bool:
        """A private address is allowed where the list has it, or names localhost."""
        if is_public(address):
            return True
        named = {rule.host for rule in self._rules}
        return address in named or (host == "localhost" and host in named)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the Internet."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_global and not found.is_multicast


def _rule(text: str) -> HostRule:
    try:
        parts = urlsplit(f"//{text.strip()}")
        host = (parts.hostname or "").rstrip(".").lower()
        port = parts.port
    except ValueError:
        host = ""
        port = None
    has_more = bool(parts.path or parts.query or parts.username) if host else True
    if has_more or "*" in host.removeprefix("*."):
        raise UsageError(
            f"--allow-host '{text}' is no host",
            hint="docs.example.org, *.example.org, or host:port",
        )
    return HostRule(host, port)
