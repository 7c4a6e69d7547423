"""HTTP GET to hosts of a list, and to no other: not by a redirect, and not by a name's address.

A private address is reached only if the list has it. What was looked up and judged is what is
connected to, so a name cannot mean another host a moment later.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.tools.hosts import HostList
from llmops_cli.prompt.tools.tool import ToolFailed, ToolSettings, shortened

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from yarl import URL

MOST_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
HTTP_OK = 200
SCHEMES = ("http", "https")
HEADERS = {"User-Agent": "llmops", "Accept": "text/*, application/json"}


class Get:
    """The text at a URL."""

    description = "get[URL]: the text at an http(s) address"

    def __init__(self, settings: ToolSettings) -> None:
        """Raises: UsageError for an empty list, or what is no host."""
        if not settings.hosts:
            raise UsageError("tool 'get' needs the hosts it may ask", hint="--allow-host HOST")
        self._settings = settings
        self._hosts = HostList(settings.hosts)

    async def use(self, text: str) -> str:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=self._settings.timeout_s)
        try:
            async with self._session(timeout) as session:
                return shortened(await self._fetched(session, text.strip()))
        except TimeoutError as error:
            raise ToolFailed("it took too long") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ToolFailed(f"no answer: {type(error).__name__}") from error

    def _session(self, timeout: Any) -> ClientSession:  # Any: aiohttp's, imported late
        import aiohttp

        connector = aiohttp.TCPConnector(resolver=_judging_resolver(self._hosts), force_close=True)
        return aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            headers=HEADERS,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def _fetched(self, session: ClientSession, text: str) -> str:
        for _ in range(MOST_REDIRECTS + 1):
            url = self._allowed(text)
            async with session.get(url, allow_redirects=False) as reply:
                location = reply.headers.get("Location")
                if reply.status not in REDIRECTS or location is None:
                    return await self._text(reply)
            text = urljoin(str(url), location)
        raise ToolFailed("too many redirects")

    def _allowed(self, text: str) -> URL:
        """As the client itself reads it. Raises: ToolFailed for what the list does not have."""
        from yarl import URL

        try:
            url = URL(text)
            host = (url.host or "").rstrip(".").lower()
            port = url.port
        except ValueError:
            raise ToolFailed("no http(s) URL") from None
        if url.scheme not in SCHEMES or not host or port is None or url.user is not None:
            raise ToolFailed("no http(s) URL")
        if not self._hosts.allows(host, port):
            raise ToolFailed(f"{host}:{port} is not on the list: {self._hosts}")
        if _is_address(host) and not self._hosts.allows_address(host, host):
            raise ToolFailed(f"{host} is in a private network")
        return url

    async def _text(self, reply: ClientResponse) -> str:
        """So many bytes at most, also of what was packed."""
        if reply.status != HTTP_OK:
            raise ToolFailed(f"http {reply.status}")
        raw = b""
        async for piece in reply.content.iter_any():
            raw += piece
            if len(raw) >= self._settings.most_bytes:
                break
        return raw[: self._settings.most_bytes].decode(errors="replace")


def _judging_resolver(hosts: HostList) -> Any:  # Any: aiohttp's class, imported late
    from aiohttp.abc import AbstractResolver
    from aiohttp.resolver import ThreadedResolver

    class JudgingResolver(AbstractResolver):
        """The system's, without addresses that the list does not allow."""

        def __init__(self) -> None:
            self._system = ThreadedResolver()

        async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_UNSPEC) -> Any:
            found = await self._system.resolve(host, port, family)
            for each in found:
                if not hosts.allows_address(host.rstrip(".").lower(), each["host"]):
                    raise ToolFailed(f"{host} is in a private network")
            return found

        async def close(self) -> None:
            await self._system.close()

    return JudgingResolver()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
