"""Addresses in a body from which a server would fetch an image or a file, and which of them it may.

An engine that fetches for a client stands where the client does not: beside its machine's own
services, and in a cloud beside the one that gives out its keys. Names are not looked up here, so
one that leads to such an address is seen only where the file lists the hosts that are allowed.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

from llmops_cli.gateway_file.discovery import is_refused
from llmops_cli.serve.refusal import Refusal

if TYPE_CHECKING:
    from llmops_cli.serve.media import MediaData

OWN_NAMES = ("localhost", "metadata", "metadata.google.internal", "instance-data")
"""Of a machine itself, and of what clouds tell it about itself."""
OWN_ENDS = (".localhost", ".localdomain")
WEB = frozenset(("http", "https", "s3", "gs", ""))
"""Schemes of what lies somewhere else; without one it is a client's that reads it."""
ADDRESS = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?[/\\]{2}([^/\\?#]{0,512})")
LOCAL = re.compile(r"file:", re.IGNORECASE)
BEFORE = "".join(map(chr, range(33)))
SHOWN_CHARS = 80


def refuse_hidden_places(media: Iterable[MediaData], allowed: Sequence[str] | None) -> None:
    """`allowed`: hosts of the file; None: all but a machine's own. Raises: Refusal."""
    for each in media:
        if each.address and not _may_be_fetched(each.address, allowed):
            raise Refusal(
                400,
                f"nothing is fetched from {each.address[:SHOWN_CHARS]!r} for a client: send the"
                " data itself, or limits.media_hosts of the gateway's file names its host",
                code="invalid_url",
            )


def address_in(value: str) -> str:
    """Its scheme and host, as far as they can be told; empty for what is no address.

    Data in base64 may begin with two slashes: sound mostly does.
    """
    value = value.lstrip(BEFORE)
    if LOCAL.match(value):
        return "file:"
    found = ADDRESS.match(value)
    if found is None:
        return ""
    host = _host_of(found[2])
    if found[1] is None and not (_is_own(host) or "." in host or ":" in host):
        return ""
    return f"{(found[1] or '').lower()}://{host}"


def _host_of(authority: str) -> str:
    """As the most lenient reader takes it: escapes, other scripts' digits, a name before it."""
    plain = unicodedata.normalize("NFKC", unquote(authority)).strip().lower()
    host = plain.rpartition("@")[2]
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


def _may_be_fetched(address: str, allowed: Sequence[str] | None) -> bool:
    scheme, _, host = address.partition("://")
    if scheme not in WEB or not host:
        return False
    if allowed is not None:
        return any(_is_of(host, each.lower()) for each in allowed)
    return not _is_own(host)


def _is_of(host: str, allowed: str) -> bool:
    """`.example.org` stands for every host below it."""
    return host == allowed or (allowed.startswith(".") and host.endswith(allowed))


def _is_own(host: str) -> bool:
    if host in OWN_NAMES or host.endswith(OWN_ENDS):
        return True
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return _is_own_number(host)
    return is_refused(found, [], loopback=False)


def _is_own_number(host: str) -> bool:
    """Addresses as C reads them: 127.1, 0x7f000001, 2130706433, 0177.0.0.1."""
    try:
        packed = socket.inet_aton(host)
    except (OSError, UnicodeEncodeError, ValueError):
        return False
    return is_refused(ipaddress.IPv4Address(packed), [], loopback=False)
