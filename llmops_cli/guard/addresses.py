"""Addresses: of mail, and of machines."""

from __future__ import annotations

import ipaddress
import re

from llmops_cli.guard.context import Match, Span, before

URL_USER = re.compile(r"://[^\s/@]*$")
VERSION = re.compile(
    r"(?:version|release|section|chapter|figure|clause|article|paragraph|kernel|v|ver|build|rev|§)"
    r"[ .:=v]{0,3}$"
)
RESERVED = re.compile(r"(?i)example\.(?:com|net|org)|(?:.+\.)?(?:test|invalid|example)")
"""RFC 2606."""
ANYBODY = re.compile(
    r"(?i)(?:you|your|user|username|name|someone|somebody|email|mail|me|foo|bar|test|firstname"
    r"|first|address|x+)(?:[._-]?(?:name|mail|email|user|lastname|last|address|bar|\d{0,3}))?"
)
"""Names that stand for whoever reads."""
NOBODY = re.compile(r"(?i)x+@x+(?:\.[a-z]+)+")
SHORTEST_IPV6 = 7


def email(found: Match) -> Span | None:
    """A mail address, not git's user, the one of a URL, or one that stands for any."""
    if found["local"].lower() == "git" or URL_USER.search(before(found)):
        return None
    host = found[0].rpartition("@")[2]
    is_example = RESERVED.fullmatch(host) and ANYBODY.fullmatch(found["local"])
    if is_example or NOBODY.fullmatch(found[0]):
        return None
    return found.span()


def ip(found: Match) -> Span | None:
    """An address of a machine elsewhere, not the number of a version."""
    try:
        address = ipaddress.ip_address(found[0])
    except ValueError:
        return None
    if address.is_loopback or address.is_unspecified or VERSION.search(before(found)):
        return None
    if address.version == 6 and len(found[0]) < SHORTEST_IPV6:
        return None
    return found.span()
