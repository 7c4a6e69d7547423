"""Which pages of other origins may ask from a browser: none, unless the file names them."""

from __future__ import annotations

import re

from llmops_cli.gateway_file.config import CorsConfig
from llmops_cli.serve.door.respond import Scope
from llmops_cli.serve.refusal import Headers

EXPOSED = (
    b"request-id",
    b"retry-after",
    b"x-request-id",
    b"x-llmops-bound",
    b"x-llmops-bound",
    b"x-llmops-cache",
    b"x-llmops-model",
    b"x-llmops-token-count",
    b"x-llmops-unsent",
    b"x-llmops-token-count",
    b"x-llmops-unsent",
    b"x-ratelimit-limit-requests",
    b"x-ratelimit-limit-tokens",
    b"x-ratelimit-remaining-requests",
    b"x-ratelimit-remaining-tokens",
    b"x-ratelimit-reset-requests",
    b"x-ratelimit-reset-tokens",
    b"x-should-retry",
)
"""Of an answer's headers, those that such a page may read beside the usual ones."""
_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?: ?, ?[A-Za-z0-9!#$%&'*+.^_`|~-]+)*")


def cors_headers(config: CorsConfig, scope: Scope) -> Headers:
    """What a browser needs to show the answer; nothing for an origin that may not see it."""
    origin = _header(scope, b"origin")
    if origin is None:
        return []
    if "*" in config.origins:
        return [(b"access-control-allow-origin", b"*"), _exposed()]
    varies = (b"vary", b"origin")
    if origin.decode("latin-1") not in config.origins:
        return [varies]
    return [(b"access-control-allow-origin", origin), _exposed(), varies]


def preflight_headers(
    config: CorsConfig,
    scope: Scope,
    methods: tuple[str, ...],
) -> Headers | None:
    """The answer to a browser that asks first; None if this is no such question, or not allowed.

    No key comes with it. Headers that a page wants to send change nothing of what its key may do.
    """
    if scope["method"] != "OPTIONS" or _header(scope, b"access-control-request-method") is None:
        return None
    if not any(name == b"access-control-allow-origin" for name, _ in cors_headers(config, scope)):
        return None
    told = [
        (b"access-control-allow-methods", ", ".join(methods).encode()),
        (b"access-control-max-age", b"%d" % config.max_age_s),
    ]
    wanted = _header(scope, b"access-control-request-headers")
    if wanted is not None and _NAMES.fullmatch(wanted):
        told.append((b"access-control-allow-headers", wanted))
    return told


def _exposed() -> tuple[bytes, bytes]:
    return (b"access-control-expose-headers", b", ".join(EXPOSED))


def _header(scope: Scope, wanted: bytes) -> bytes | None:
    for name, value in scope["headers"]:
        if name == wanted:
            return bytes(value)
    return None
