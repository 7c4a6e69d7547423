"""Who asks, and what may be said in headers."""

from __future__ import annotations

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.serve.accounts.key import ROLES
from llmops_cli.serve.accounts.keys import KeyStore
from llmops_cli.serve.cache_control import NAMES as CACHE_HEADERS
from llmops_cli.serve.cache_control import wish_of
from llmops_cli.serve.context import RequestContext, Urgency
from llmops_cli.serve.door.respond import Scope
from llmops_cli.serve.refusal import Refusal

KEY_HEADERS = (b"x-api-key", b"api-key")
"""Anthropic's and Azure's."""
SESSION_HEADERS = (b"x-session-id", b"x-llmops-session")
READ_HEADERS = frozenset(
    (*SESSION_HEADERS, b"x-llmops-urgency", b"x-llmops-timeout-ms", b"traceparent")
)
SESSION_CHARS = 256
PARENT_CHARS = 64
TIMEOUT_MOST_MS = 3.6e6


class NoGoodKey(Refusal):
    """Nobody gets in by it. `was_one`: it was revoked, or has expired, so that nobody guesses."""

    def __init__(self, message: str, *, was_one: bool = False) -> None:
        challenge = (b"www-authenticate", b"Bearer")
        super().__init__(401, message, code="invalid_api_key", headers=[challenge])
        self.was_one = was_one


def admit(
    scope: Scope,
    context: RequestContext,
    store: KeyStore,
    config: GatewayConfig,
    right: str,
) -> None:
    """Raises: NoGoodKey; Refusal for who may not do this."""
    asked = context.asked
    given = _given_key(scope)
    key = store.find(given) if given else None
    if key is None:
        if not config.keys_required:
            return  # official clients always send some key
        if not given:
            raise NoGoodKey("a key is needed: Authorization: Bearer llmops_...")
        raise NoGoodKey("this key is not valid", was_one=store.knows(given))
    asked.key = key
    asked.key_id = key.id
    asked.key_name = key.name
    if not key.may(right):
        may = " or ".join(role for role, rights in ROLES.items() if right in rights)
        said = f"this key has the role {key.role}, and {asked.route} needs {may}"
        raise Refusal(403, said, code="forbidden")


def _given_key(scope: Scope) -> str | None:
    """The first header that could hold one decides: one for a proxy (Basic) could not."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, rest = value.partition(b" ")
            if kind.lower() == b"bearer":
                return str(rest.decode("latin-1").strip())
        elif name in KEY_HEADERS:
            return str(value.decode("latin-1").strip())
    return None


def read_headers(
    scope: Scope,
    context: RequestContext,
) -> None:
    """What a client may say beside its body; anything else that it sends is not passed on.

    Raises: Refusal.
    """
    asked = context.asked
    headers = scope["headers"]
    names = {name for name, _ in headers}
    if not names.isdisjoint(CACHE_HEADERS):
        asked.cache_wish = wish_of(headers)
    if names.isdisjoint(READ_HEADERS):  # as of nearly all clients
        return
    for name, value in headers:
        if name in SESSION_HEADERS:
            asked.session = value.decode("latin-1")[:SESSION_CHARS]
        elif name == b"x-llmops-urgency":
            asked.urgency = Urgency.BATCH if value == b"batch" else Urgency.INTERACTIVE
        elif name == b"x-llmops-timeout-ms":
            asked.deadline = asked.start + _timeout_ms(value) / 1000
        elif name == b"traceparent":
            asked.parent = value.decode("latin-1")[:PARENT_CHARS]


def _timeout_ms(value: bytes) -> float:
    try:
        found = float(value)
    except ValueError:
        found = 0.0
    if not 0 < found <= TIMEOUT_MOST_MS:
        said = "x-llmops-timeout-ms is a number of milliseconds, at most an hour"
        raise Refusal(400, said, code="invalid_header")
    return found
