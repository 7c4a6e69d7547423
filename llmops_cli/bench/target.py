"""From a server's URL and a recipe to what a worker connects to."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from llmops_cli.bench.headers import filled_path
from llmops_cli.bench.plan import Destination
from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.core.errors import EnvironmentMissing, UsageError

PATHS = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
}
"""Below the server's address, unless the recipe has a path."""
PORTS = {"http": 80, "https": 443}
PROXY_PORT = 3128
PATIENCE_S = 2.0

Info = tuple[int, int, int, str, tuple[str | int, ...]]
"""As getaddrinfo has it: family, type, protocol, canonical name, address."""


def resolve_target(
    url: str,
    recipe: BenchRecipe,
    headers: Mapping[str, str],
) -> Destination:
    """Where the workers send.

    Raises: UsageError for a proxy that is no URL; EnvironmentMissing for a name that does not
    resolve.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or PORTS[parts.scheme]
    if recipe.proxy:
        proxy = _proxy_of(recipe.proxy)
        proxy_host = proxy.hostname or ""
        proxy_port = proxy.port or PROXY_PORT
        family, address = _address_of(proxy_host, proxy_port)
    else:
        family, address = _address_of(host, port)
    base = parts.path.rstrip("/")
    return Destination(
        scheme=parts.scheme,
        host=host,
        port=port,
        path=base + path_of(recipe),
        family=family,
        address=address,
        headers=tuple(headers.items()),
        proxy=bool(recipe.proxy),
        insecure=recipe.insecure,
        timeout_s=recipe.timeout_s,
    )


def path_of(recipe: BenchRecipe) -> str:
    """Where requests go at the server, with the query that the recipe's path has.

    Raises: EnvironmentMissing for a variable in it that is not set.
    """
    if recipe.path:
        return filled_path(recipe.path)
    return PATHS[recipe.api]


def _proxy_of(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise UsageError(f"'{url}' is no HTTP proxy", hint="--proxy http://proxy:3128")
    return parts


def _address_of(host: str, port: int) -> tuple[int, tuple[str, int]]:
    """Family and address."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise EnvironmentMissing(f"the name {host} does not resolve: {error.strerror}") from error
    family, _, _, _, address = _reachable(found)
    ip = str(address[0])
    own_port = int(address[1])
    return int(family), (ip, own_port)


def _reachable(found: list) -> Info:  # type: ignore[type-arg] # getaddrinfo's own shape
    """The first address that accepts a connection, or the first.

    `localhost` is often ::1 where only 127.0.0.1 listens.
    """
    for info in found:
        with socket.socket(info[0], socket.SOCK_STREAM) as probe:
            probe.settimeout(PATIENCE_S)
            try:
                probe.connect(info[4])
            except OSError:
                continue
            return info  # type: ignore[no-any-return]
    return found[0]  # type: ignore[no-any-return]
