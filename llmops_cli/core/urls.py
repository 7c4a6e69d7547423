"""URLs that users name: one form for a server's address, and no secrets in any of them.

What a recipe holds is written to its report, so a password or a key in a URL is refused before
anything is run. Keys come from environment variables.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from urllib.parse import SplitResult, parse_qsl, urlsplit

from llmops_cli.core.errors import UsageError

EXAMPLE = "http://127.0.0.1:8000"
ENDPOINTS = ("/chat/completions", "/completions", "/models")
"""What people paste with an address."""
SCHEMES = ("http://", "https://")
HIDDEN = "***"
QUERY = re.compile(r"[?#]")
AUTHORITY = re.compile(r"(?P<scheme>[^:/]+://)(?P<host>\[[^\]]*\]|[^:/\[]*):(?P<port>[^/]*)")
PORT = re.compile(r"[0-9]{0,5}")
OF_HUB = r"hf://?[\w.-]+/[\w.-]+@[\w./-]+(?![\w./@-])"
"""A model of the hub at a revision, which has no user: hf://owner/name@main."""
USER_IN_TEXT = re.compile(rf"(?!{OF_HUB})(?<![A-Za-z0-9+.-])([A-Za-z0-9+.-]+://?)\S*@")
"""A path that was made of a URL has lost a slash; a password may have some, and quotes, in it."""
PARAMETER_IN_TEXT = re.compile(
    r"""(?P<sign>[?&])(?P<name>[\w-]+)=(?P<value>(?:[^\s&'"]|['"](?![\s,;:.)}\]]|$))+)"""
)
"""A quote ends a value only where a sentence or a list goes on behind it."""
VARIABLE = "$"
"""Before the name of an environment variable, which is no secret."""
SECRET_NAME = re.compile(
    r"(?:^|[_-])(?:key|apikey|token|secret|password|passwd|pwd|auth|authorization|credential"
    r"|cookie|sig|signature)s?(?:$|[_-])",
    re.IGNORECASE,
)
"""What a parameter, a header or an option with a secret is called."""


def is_secret_name(name: str) -> bool:
    """Whether a value under this name is likely to be a secret."""
    plain = name.replace("-", "_").lower()
    if plain.endswith("_tokens"):
        return False
    return SECRET_NAME.search(plain) is not None


def refuse_secrets(url: str, *, field: str) -> None:
    """Raises: UsageError, without the secret, for a URL with a password or a key in it."""
    flag = _flag(field)
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UsageError(f"{flag} is no URL", hint=f"{flag} {EXAMPLE}") from None
    if "@" in parts.netloc:
        raise _would_be_saved(f"a password in {flag}")
    fields = parse_qsl(parts.query, keep_blank_values=True)
    for name, value in fields:
        if is_secret_name(name) and not value.startswith(VARIABLE):
            raise _would_be_saved(f"'{name}' in {flag}")


def _would_be_saved(secret: str) -> UsageError:
    return UsageError(
        f"{secret} would be saved in the report",
        hint="put the key into an environment variable and name that",
    )


def shown_url(url: str) -> str:
    """A URL, or what is none, as it may be shown.

    Left out is what may be a secret: what stands before an @, a query, a fragment, and a port
    that is none, as of a password whose @ was forgotten.
    """
    head = QUERY.split(url, maxsplit=1)[0]
    if "@" in url[len(head) :]:  # a password may have a ? in it
        return HIDDEN
    _, at, rest = head.rpartition("@")
    if at:
        return f"{HIDDEN}@{rest}"
    authority = AUTHORITY.match(head)
    if authority and not (authority["host"] and PORT.fullmatch(authority["port"])):
        return f"{authority['scheme']}{authority['host']}:{HIDDEN}"
    return head


def without_secrets(text: str) -> str:
    """A message in which URLs may stand, without their users, passwords and keys."""
    plain = USER_IN_TEXT.sub(rf"\1{HIDDEN}@", text)
    return PARAMETER_IN_TEXT.sub(_hidden_parameter, plain)


def _hidden_parameter(found: re.Match[str]) -> str:
    if not is_secret_name(found["name"]) or found["value"].startswith(VARIABLE):
        return found[0]
    return f"{found['sign']}{found['name']}={HIDDEN}"


def server_url(url: str, *, field: str) -> str:
    """The address of an OpenAI-style server, without a slash, an endpoint or /v1 at its end.

    Raises: UsageError for another scheme, a query, or a secret.
    """
    flag = _flag(field)
    example = f"{flag} {EXAMPLE}"
    plain = url.strip()
    refuse_secrets(plain, field=field)
    if not plain.startswith(SCHEMES):
        raise UsageError(f"{flag} '{shown_url(plain)}' is no http(s) URL", hint=example)
    parts = urlsplit(plain)
    if not _has_host(parts):
        raise UsageError(f"{flag} '{shown_url(plain)}' names no host", hint=example)
    if parts.query or parts.fragment:
        message = f"{flag} is the address of a server, without a query"
        raise UsageError(message, hint=example)
    address = plain.rstrip("/")
    for ending in ENDPOINTS:
        address = address.removesuffix(ending)
    return address.removesuffix("/v1")


def settle_server(
    values: MutableMapping[str, object],
    origins: MutableMapping[str, str],
) -> None:
    """A URL, wherever it comes from, means the server that runs there.

    For recipes with `url` and `backend`. Raises: UsageError for a URL beside a backend.
    """
    url = values.get("url")
    if not url:
        return
    server_url(str(url), field="url")
    backend = values.get("backend")
    is_chosen = origins["backend"] != "default"
    if is_chosen and backend not in (None, "remote"):
        raise UsageError(
            f"--url is a server that runs; backend '{backend}' would start another",
            hint="give one of them",
        )
    if backend != "remote":
        values["backend"] = "remote"
        origins["backend"] = origins["url"]


def _has_host(parts: SplitResult) -> bool:
    try:
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return False


def _flag(field: str) -> str:
    return f"--{field.replace('_', '-')}"
