"""From a server's URL and a recipe to what a worker connects to, and what can be asked of the
server first.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from llmops_cli.bench.plan import Destination
from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.bench.tokens import Ask
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.runtime.http import Http

PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
SECRET_HEADERS = re.compile(r"authorization|.*(key|token|secret|cookie).*", re.IGNORECASE)
SECRET_FIELDS = re.compile(r"api[_-]?key|authorization|.*(secret|password).*", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def headers_of(recipe: BenchRecipe, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The extra headers with $NAME filled in from the environment, and the API key if there is one.

    Raises: UsageError for a secret written out, which would end up in the report;
    EnvironmentMissing for a variable that is not set.
    """
    environ = os.environ if environ is None else environ
    found = {}
    for field in recipe.body:
        if SECRET_FIELDS.fullmatch(field):
            raise UsageError(
                f"--body {field}: a secret in a body would be saved in the report",
                hint="use LLMOPS_API_KEY or --header",
            )
    for line in recipe.headers:
        name, colon, value = line.partition(":")
        name = name.strip()
        value = value.strip()
        if not colon or not re.fullmatch(r"[\w-]+", name) or any(c in value for c in "\r\n"):
            raise UsageError(f"--header '{line}' is no header", hint="--header 'X-Team: search'")
        if SECRET_HEADERS.fullmatch(name) and not _VARIABLE.search(value):
            raise UsageError(
                f"--header {name}: a secret on the command line would be saved in the report",
                hint=f"put it into a variable: --header '{name}: $MY_SECRET' (in single quotes)",
            )
        found[name] = _VARIABLE.sub(lambda match: _variable(match[1], environ), value)
    if recipe.api_key_env != "LLMOPS_API_KEY" or recipe.api_key_env in environ:
        found.setdefault("Authorization", f"Bearer {_variable(recipe.api_key_env, environ)}")
    return found


def _variable(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise EnvironmentMissing(
            f"the environment variable {name} is not set", hint=f"export {name}=..."
        )
    return value


def resolve_target(url: str, recipe: BenchRecipe, headers: Mapping[str, str]) -> Destination:
    """Raises: UsageError for a proxy that is no URL, EnvironmentMissing for a name that does not
    resolve.
    """
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    host = parts.hostname or ""
    connect_host = host
    connect_port = port
    if recipe.proxy:
        proxy = urlsplit(recipe.proxy)
        if proxy.scheme != "http" or not proxy.hostname:
            raise UsageError(f"'{recipe.proxy}' is no HTTP proxy", hint="--proxy http://proxy:3128")
        connect_host = proxy.hostname
        connect_port = proxy.port or 3128
    try:
        found = socket.getaddrinfo(connect_host, connect_port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise EnvironmentMissing(
            f"the name {connect_host} does not resolve: {error.strerror}"
        ) from error
    family, _, _, _, address = _reachable(found)
    return Destination(
        scheme=parts.scheme,
        host=host,
        port=port,
        path=parts.path.rstrip("/") + PATHS[recipe.api],
        family=int(family),
        address=(str(address[0]), int(address[1])),
        headers=tuple(headers.items()),
        proxy=bool(recipe.proxy),
        insecure=recipe.insecure,
        timeout_s=recipe.timeout_s,
    )


Info = tuple[int, int, int, str, tuple[str | int, ...]]


def _reachable(found: list) -> Info:  # type: ignore[type-arg] # getaddrinfo's own shape
    """The first address that accepts a connection: `localhost` is often ::1 where only 127.0.0.1
    listens.
    """
    for info in found:
        with socket.socket(info[0], socket.SOCK_STREAM) as probe:
            probe.settimeout(2.0)
            try:
                probe.connect(info[4])
            except OSError:
                continue
            return info  # type: ignore[no-any-return]
    return found[0]  # type: ignore[no-any-return]


def token_counter(url: str, recipe: BenchRecipe, model: str, http: Http) -> tuple[Ask, bool]:
    """How the server counts tokens, and whether asking is free (it has /tokenize)."""

    def fields(text: str) -> dict[str, object]:
        if recipe.api == "chat":
            return {"model": model, "messages": [{"role": "user", "content": text}]}
        return {"model": model, "prompt": text}

    def by_tokenize(text: str) -> int | None:
        reply = http.post_json(f"{url}/tokenize", fields(text), timeout_s=min(10, recipe.timeout_s))
        count = (reply or {}).get("count")
        return count if isinstance(count, int) else None

    def by_usage(text: str) -> int | None:
        body = {**fields(text), "max_tokens": 1, **recipe.body}
        reply = http.post_json(f"{url}{PATHS[recipe.api]}", body, timeout_s=recipe.timeout_s)
        count = ((reply or {}).get("usage") or {}).get("prompt_tokens")
        return count if isinstance(count, int) else None

    def plain(text: str) -> int | None:
        """llama-server's form: the text alone, without a chat template."""
        reply = http.post_json(
            f"{url}/tokenize", {"content": text}, timeout_s=min(10, recipe.timeout_s)
        )
        tokens = (reply or {}).get("tokens")
        return len(tokens) if isinstance(tokens, list) and tokens else None

    if by_tokenize("x") is not None:
        return by_tokenize, True
    alone = plain("x")
    around = by_usage("x") if alone is not None else None
    if alone is None or around is None:
        return by_usage, False
    template = around - alone

    def by_text(text: str) -> int | None:
        count = plain(text)
        return None if count is None else count + template

    return by_text, True
