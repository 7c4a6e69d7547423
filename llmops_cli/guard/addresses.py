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
SHORTEST_IPV6 = 7


def email(found: Match) -> Span | None:
    """A mail address, not git's user or the one of a URL."""
    if found["local"].lower() == "git" or URL_USER.search(before(found)):
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
