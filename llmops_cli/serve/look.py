"""Another process's view of a running gateway: its /admin/state."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request

import msgspec

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.visible import visible_line
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.runtime.http import SameHostRedirects
from llmops_cli.runtime.keys import bearer, require_header_value
from llmops_cli.serve.show import State

TIMEOUT_S = 10
MOST_BYTES = 65_536


class ErrorSaid(msgspec.Struct, frozen=True, kw_only=True):
    message: str = ""
    code: str = ""


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    error: ErrorSaid = ErrorSaid()


def look(url: str, key_env: str) -> State:
    """The gateway's state now. `key_env`: the variable that holds a key of the role admin.

    Raises: EnvironmentMissing for no gateway, or a key that may not look; UsageError for a URL
    with a password.
    """
    base = base_of(url, key_env)
    raw = asked(base, "/admin/state", key_env)
    try:
        found: State = msgspec.json.decode(raw)
    except UNREADABLE:
        raise no_gateway(base) from None
    return found


def base_of(url: str, key_env: str) -> str:
    """Without /v1, which clients of models have. Raises: UsageError."""
    base = url.rstrip("/").removesuffix("/v1")
    if "://" not in base:
        base = f"http://{base}"
    if "@" in base:
        raise UsageError(
            "a gateway's URL holds no password", hint=f"put its key into the variable {key_env}"
        )
    return base


def asked(
    base: str,
    path: str,
    key_env: str,
    body: bytes | None = None,
) -> bytes:
    """The answer. Raises: GatewayRefused; EnvironmentMissing."""
    key = os.environ.get(key_env, "").strip()
    require_header_value(key, variable=key_env)
    headers = bearer(key)
    if body is not None:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(f"{base}{path}", body, headers=headers)
    opener = urllib.request.build_opener(SameHostRedirects())
    try:
        with opener.open(request, timeout=TIMEOUT_S) as reply:
            found: bytes = reply.read()
            return found
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(base, key_env, error.code, error.read(MOST_BYTES)) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        said = getattr(reason, "strerror", None) or reason
        message = f"nothing answers at {base}: {said}"
        raise EnvironmentMissing(message, hint="llmops serve") from None


def no_gateway(base: str) -> EnvironmentMissing:
    return EnvironmentMissing(f"{base} is no gateway of llmops")


class GatewayRefused(EnvironmentMissing):
    """`code`: the gateway's own, for programs; empty if it says none."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        said: str,
    ) -> None:
        super().__init__(message, hint="llmops keys create --name ops --role admin")
        self.code = code
        self.said = said


def _refused(
    base: str,
    key_env: str,
    status: int,
    body: bytes,
) -> GatewayRefused:
    known = {
        404: f"{base} is no gateway of llmops",
        401: f"{key_env} holds no valid key",
        403: f"the key in {key_env} is not of the role admin",
    }
    message = known.get(status, f"{base} answers {status}")
    try:
        error = msgspec.json.decode(body, type=ErrorBody).error
    except UNREADABLE:
        error = ErrorSaid()
    return GatewayRefused(message, code=error.code, said=visible_line(error.message))
