"""What stands before a request's body: the target at an origin, and headers that stay the same."""

from __future__ import annotations

import hashlib
from urllib.parse import quote, urlsplit

from llmops_cli.gateway_file.credentials import Credentials
from llmops_cli.gateway_file.url import MODEL_PLACE
from llmops_cli.serve.refusal import Headers

NO_CREDENTIALS = Credentials({}, "", ())
HIDDEN = b"***"
PORTS = {"http": 80, "https": 443}


class RequestHead:
    """Of one address, such as http://127.0.0.1:9000/v1."""

    def __init__(self, url: str, credentials: Credentials, *, called: str = "") -> None:
        """`called`: the name of a host that is asked by its address."""
        parts = urlsplit(url)
        self.called = called
        self.host = parts.hostname or ""
        self.is_secure = parts.scheme == "https"
        self.port = parts.port or PORTS[parts.scheme]
        self._base = parts.path.rstrip("/")
        self._has_model = MODEL_PLACE in self._base
        self._query = f"?{credentials.query}" if credentials.query else ""
        self._targets: dict[str, bytes] = {}
        self._secrets = [secret.encode() for secret in credentials.secrets if secret]
        self._secrets.sort(key=len, reverse=True)  # one may hold another
        self.secret_digests = {hashlib.sha256(secret).digest() for secret in self._secrets}
        self._fixed = self._fixed_lines(credentials.headers)

    def _fixed_lines(self, headers: dict[str, str]) -> bytes:
        lines = {"Host": self._authority(), "Connection": "keep-alive"}
        lines["Accept-Encoding"] = "identity"
        for name, value in headers.items():
            lines["Host" if name.lower() == "host" else name] = value
        return "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode()

    def _authority(self) -> str:
        """As clients write it: without the port that a scheme has anyway."""
        named = self.called or self.host
        host = f"[{named}]" if ":" in named else named
        if self.port == PORTS["https" if self.is_secure else "http"]:
            return host
        return f"{host}:{self.port}"

    def request(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Headers,
        *,
        model: str,
    ) -> bytes:
        """All of it. `model`: as the upstream calls it, for an address that holds its name."""
        return b"%s %s HTTP/1.1\r\n%s%sContent-Length: %d\r\n\r\n%s" % (
            method.encode(),
            self._target(path, model),
            self._fixed,
            b"".join([b"%s: %s\r\n" % header for header in headers]),
            len(body),
            body,
        )

    def _target(self, path: str, model: str) -> bytes:
        if self._has_model:
            return self._new_target(path, model)
        found = self._targets.get(path)
        if found is None:
            found = self._new_target(path, model)
            self._targets[path] = found
        return found

    def _new_target(self, path: str, model: str) -> bytes:
        """As OpenAI's clients have it: a base address with a path stands for /v1.

        What engines have beside OpenAI's API, such as /tokenize, stands beside /v1.
        """
        base = self._base_for(model)
        if not path.startswith("/v1/"):
            path = base.removesuffix("/v1") + path
        elif base:
            path = base + path.removeprefix("/v1")
        query = self._query.replace("?", "&", 1) if "?" in path else self._query
        return f"{path}{query}".encode()

    def _base_for(self, model: str) -> str:
        """What is asked of no model is asked of what stands before its name."""
        if not self._has_model:
            return self._base
        if not model:
            return self._base.partition(MODEL_PLACE)[0].rstrip("/")
        return self._base.replace(MODEL_PLACE, quote(model, safe=""))

    def hides(self, body: bytes) -> bytes:
        """An error's body as clients may see it: some servers repeat what they were sent."""
        for secret in self._secrets:
            body = body.replace(secret, HIDDEN)
        return body
