"""Where the members of an upstream are looked up, and which addresses none of them may have."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from llmops_cli.gateway_file.mistake import Mistake, Mistakes
from llmops_cli.gateway_file.url import bad_url

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Scheme = Literal["http", "https"]
MembersMost = Annotated[int, msgspec.Meta(ge=1, le=1024)]
TtlSeconds = Annotated[float, msgspec.Meta(ge=0.1, le=3600)]
NAME_PART = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
NAME_CHARS = 253
DNS_PORT = 53
METADATA = frozenset(
    map(
        ipaddress.ip_address,
        (
            "100.100.100.200",  # Alibaba
            "168.63.129.16",  # Azure
            "192.0.0.192",  # Oracle
            "fd00:ec2::254",  # AWS
            "fd20:ce::254",  # Google
        ),
    )
)
"""What tells a machine's own credentials to whoever asks, beside link-local 169.254.169.254."""


class DiscoverConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of `dns` (HOST:PORT, all its A and AAAA records), `srv` (a name) and `file`.

    `scheme` and `path` are of each member's address. `resolver`: HOST:PORT of a name server, if not
    the machine's. An answer counts for its TTL, within bounds. `most`: members; what is beyond is
    left out. `networks`: where members may be; loopback only where one of them has it.
    """

    dns: str | None = None
    srv: str | None = None
    file: str | None = None
    scheme: Scheme = "http"
    path: str = ""
    resolver: str | None = None
    ttl_least_s: TtlSeconds = 1.0
    ttl_most_s: TtlSeconds = 30.0
    most: MembersMost = 64
    networks: list[str] = []

    def place(self) -> str:
        """As people are shown where members come from."""
        if self.file is not None:
            return self.file
        return f"{self.scheme}://{self.dns or self.srv}{self.path}"


class HostPort(NamedTuple):
    host: str
    port: int


def host_port(text: str, *, port: int | None = None) -> HostPort:
    """`port`: where the text has none. Raises: ValueError."""
    parts = urlsplit(f"//{text}")
    found = parts.port if parts.port is not None else port
    if not parts.hostname or found is None or not found or parts.path or parts.query:
        raise ValueError(text)
    if parts.username is not None or parts.fragment:
        raise ValueError(text)
    return HostPort(parts.hostname, found)


def networks_of(config: DiscoverConfig) -> list[Network]:
    return [ipaddress.ip_network(each, strict=False) for each in config.networks]


def is_refused(address: Address, networks: list[Network], *, loopback: bool) -> bool:
    """Whether nobody there is sent anything, whoever says that a member is there.

    `loopback`: what this machine has for itself is no stranger's to name.
    """
    plain = getattr(address, "ipv4_mapped", None) or address
    if plain.is_link_local or plain.is_multicast or plain.is_unspecified or plain in METADATA:
        return True
    if networks:
        return not any(plain in network for network in networks)
    if plain.is_loopback:
        return not loopback
    return bool(plain.is_reserved)


# What is wrong with a file.


def mistakes_in_discovery(config: DiscoverConfig) -> Mistakes:
    given = [name for name in ("dns", "srv", "file") if getattr(config, name) is not None]
    if len(given) != 1:
        message = "members are looked up by one of dns, srv and file"
        yield Mistake(tuple(given[1:2]), message, "{dns: engines.default.svc:8000}")
    if config.dns is not None and not _is_name_with_port(config.dns):
        message = f"{config.dns} is no name with a port"
        yield Mistake(("dns",), message, "engines.default.svc:8000")
    if config.srv is not None and not is_name(config.srv):
        message = f"{config.srv} is no name of SRV records"
        yield Mistake(("srv",), message, "_http._tcp.engines.default.svc")
    if config.resolver is not None and not _is_resolver(config.resolver):
        message = f"{config.resolver} is no address of a name server"
        yield Mistake(("resolver",), message, "10.96.0.10:53")
    if config.path and (not config.path.startswith("/") or bad_url(f"http://m{config.path}")):
        yield Mistake(("path",), f"{config.path} is no path of an address", "/v1")
    if config.ttl_least_s > config.ttl_most_s:
        yield Mistake(("ttl_least_s",), "the least is more than the most")
    for number, network in enumerate(config.networks):
        if not _is_network(network):
            message = f"{network!r} is no address or network"
            yield Mistake(("networks", number), message, "10.0.0.0/8")
    yield from _in_unused(config)


def _in_unused(config: DiscoverConfig) -> Mistakes:
    """What a file of members does not ask for."""
    if config.file is None:
        return
    usual = DiscoverConfig()
    for name in ("resolver", "ttl_least_s", "ttl_most_s"):
        if getattr(config, name) != getattr(usual, name):
            yield Mistake((name,), f"{name} is for names, and this is a file")


def is_name(text: str) -> bool:
    parts = text.removesuffix(".").split(".")
    return len(text) <= NAME_CHARS and all(NAME_PART.fullmatch(part) for part in parts)


def _is_name_with_port(text: str) -> bool:
    try:
        return is_name(host_port(text).host)
    except ValueError:
        return False


def _is_resolver(text: str) -> bool:
    """By its address: to find it, nothing is looked up."""
    try:
        ipaddress.ip_address(host_port(text, port=DNS_PORT).host)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
