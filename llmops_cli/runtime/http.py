"""Single HTTP calls to a server: through a proxy only if one is named."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import IO, Any
from urllib.parse import urlsplit

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE


class SameHostRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect on the host that was asked; to another one no header goes along."""

    def redirect_request(
        self,
        request: urllib.request.Request,
        answer: IO[bytes],
        code: int,
        reason: str,
        headers: http.client.HTTPMessage,
        url: str,
    ) -> urllib.request.Request | None:
        """The request for the new place; None leaves the redirect as the answer."""
        if _origin(request.full_url) != _origin(url):
            return None
        return super().redirect_request(request, answer, code, reason, headers, url)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


BROKEN = (OSError, ValueError, http.client.HTTPException)


class Http:
    """Calls with the same headers. `insecure` accepts any certificate."""

    def __init__(
        self,
        headers: Mapping[str, str] | None = None,
        *,
        proxy: str | None = None,
        insecure: bool = False,
    ) -> None:
        self._headers = dict(headers or {})
        self._opener: urllib.request.OpenerDirector | None = None
        self._proxies = {}
        if proxy:
            self._proxies = {"http": proxy, "https": proxy}
        self._insecure = insecure

    def status(self, url: str, *, timeout_s: float) -> int | str:
        """The status of a GET, or why there is none."""
        try:
            with self._get(url, timeout_s) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except urllib.error.URLError as error:
            reason = getattr(error.reason, "strerror", None)
            return str(reason or error.reason)
        except BROKEN as error:
            return f"{type(error).__name__}: {error}"

    def get_text(self, url: str, *, timeout_s: float) -> str | None:
        """The body of a 200 answer, or None."""
        try:
            with self._get(url, timeout_s) as answer:
                body = answer.read()
        except BROKEN:
            return None
        return body.decode(errors="replace")

    def post_json(
        self,
        url: str,
        body: Mapping[str, object],
        *,
        timeout_s: float,
    ) -> dict[str, Any] | None:  # Any: the server's own fields
        """The JSON object of a 200 answer, or None."""
        request = urllib.request.Request(
            url,
            data=msgspec.json.encode(body),
            headers={"Content-Type": "application/json", **self._headers},
        )
        try:
            with self._open(request, timeout_s) as answer:
                loaded = msgspec.json.decode(answer.read())
        except (*BROKEN, *UNREADABLE):
            return None
        if not isinstance(loaded, dict):
            return None
        return loaded

    def _get(self, url: str, timeout_s: float) -> http.client.HTTPResponse:
        request = urllib.request.Request(url, headers=self._headers)
        return self._open(request, timeout_s)

    def _open(
        self,
        request: urllib.request.Request,
        timeout_s: float,
    ) -> http.client.HTTPResponse:
        if self._opener is None:
            self._opener = self._new_opener()
        return self._opener.open(request, timeout=timeout_s)  # type: ignore[no-any-return]

    def _new_opener(self) -> urllib.request.OpenerDirector:
        """A TLS context reads every certificate of the system, so only when needed."""
        handlers: list[urllib.request.BaseHandler] = [
            urllib.request.ProxyHandler(self._proxies),
            SameHostRedirects(),
        ]
        if self._insecure:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            handler = urllib.request.HTTPSHandler(context=context)
            handlers.append(handler)
        return urllib.request.build_opener(*handlers)
