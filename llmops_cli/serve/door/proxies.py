"""Whose address it is, behind proxies that are trusted to say so."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from llmops_cli.serve.refusal import Headers

HOPS_MOST = 32
"""Proxies between a client and us. What stands before those, a client can have written."""

MAPPED = "::ffff:"
"""How a listener at `::` writes the addresses of IPv4: else all of them are one network."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class TrustedProxies:
    """Networks, read once.

    Each proxy appends the address that it was asked from, to a line of X-Forwarded-For or on a line
    of its own: all lines are one list, and its end is the nearest.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        """Raises: ValueError, which the reading of the file does not let happen."""
        self._networks = [ipaddress.ip_network(each, strict=False) for each in networks]

    def client(self, peer: str, headers: Headers) -> str:
        """The nearest address that is none of our proxies.

        Where the list ends, or goes on with what is no address, the farthest proxy of ours.
        """
        peer = peer.removeprefix(MAPPED)
        if not self._networks:
            return peer
        nearest = _address(peer)
        if nearest is None or not self._trusts(nearest):
            return peer
        found = nearest
        for said in _said(headers):
            address = _address(said)
            if address is None:
                break
            found = address
            if not self._trusts(address):
                break
        return str(found)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _said(headers: Headers) -> Iterator[str]:
    """Of X-Forwarded-For, the last first, and no more of them than there can be proxies."""
    lines = [value for name, value in headers if name == b"x-forwarded-for"]
    listed = b",".join(lines).rsplit(b",", HOPS_MOST)
    for value in reversed(listed[-HOPS_MOST:]):
        yield value.decode("latin-1")


def _address(said: str) -> Address | None:
    """Of `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `"[2001:db8::1]:4711"`, `fe80::1%eth0`."""
    text = said.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    text = text.partition("%")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
