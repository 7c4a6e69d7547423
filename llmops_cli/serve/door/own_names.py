"""Without keys, every page that a browser on this machine shows could ask us.

So only those are answered that call us by a name of ours (a page can give its own name our
address: DNS rebinding), and that are a page of ours or of an origin that the file names.
"""

from __future__ import annotations

import re

from llmops_cli.core.this_machine import is_this_machine
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.serve.refusal import Headers, Refusal

_HOST = re.compile(r"(?:\[(?P<address>[^\[\]]*)\]|(?P<name>[^:\[\]@/]+))(?::[0-9]*)?")


class OwnNames:
    """`hosts` of the file, and what always means this machine."""

    def __init__(self, config: GatewayConfig) -> None:
        self._hosts = {name.lower() for name in config.hosts}
        self._origins = set(config.cors.origins) if config.cors is not None else set()

    def check(self, headers: Headers) -> None:
        """Raises: Refusal (403)."""
        hosts = _values(headers, b"host")
        if not hosts or not all(map(self._is_ours, hosts)):
            said = "without keys the gateway is asked as localhost, or by one of its hosts"
            raise Refusal(403, said, code="forbidden_host")
        for origin in _values(headers, b"origin"):
            if origin not in self._origins and not _is_page_of(origin, hosts):
                said = "without keys no page of another origin may ask"
                raise Refusal(403, said, code="forbidden_origin")

    def _is_ours(self, host: str) -> bool:
        name = _name_of(host)
        return name in self._hosts or is_this_machine(name)


def _values(headers: Headers, wanted: bytes) -> list[str]:
    return [value.decode("latin-1").lower() for name, value in headers if name == wanted]


def _name_of(host: str) -> str:
    """Without its port; empty if it is none."""
    found = _HOST.fullmatch(host)
    if found is None:
        return ""
    return found["address"] or found["name"].removesuffix(".")


def _is_page_of(origin: str, hosts: list[str]) -> bool:
    return origin.partition("://")[2] in hosts
