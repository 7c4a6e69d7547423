"""What an upstream is sent beside a request: its address, key, headers and query, with values.

The configuration holds them as they are written in the file; values are taken where they are used,
so that nothing that shows a configuration can show a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlencode

from llmops_cli.core.errors import UsageError
from llmops_cli.gateway_file.mistake import Mistake, Mistakes, Place
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.gateway_file.url import bad_url
from llmops_cli.gateway_file.variables import (
    VARIABLE,
    NoValue,
    files_in,
    has_variables,
    read_secret,
    resolved,
)
from llmops_cli.runtime.chat_endpoint import ANTHROPIC_VERSION
from llmops_cli.runtime.keys import bearer, require_header_value

AUTHORIZATION = "authorization"
VERSION = "anthropic-version"
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
SECRET_CHARS = 6
"""Shorter values of variables, such as a port, are no secrets in the words of an upstream."""
OURS = (
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "te",
    "trailer",
    "traceparent",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
)
"""Headers that the gateway writes itself."""


class Credentials(NamedTuple):
    """`headers`: with the key's. `query`: as it stands behind the question mark.

    `secrets`: values that nobody may be shown.
    """

    headers: dict[str, str]
    query: str
    secrets: tuple[str, ...]


def credentials_of(config: UpstreamConfig) -> Credentials:
    """Raises: UsageError for what has no value, or a value that cannot be sent."""
    headers = dict[str, str]()
    taken = list[str]()
    for name, text in config.headers.items():
        headers[name] = _header_value(text, taken, variable=f"headers.{name}")
    query = {name: resolved(text, taken=taken) for name, text in config.query.items()}
    resolved(config.url or "", taken=taken)
    secrets = [value for value in taken if len(value) >= SECRET_CHARS]
    key = key_of(config)
    if key:
        secrets.append(key)
        headers |= _key_header(config.key_stands_in, key)
    if config.is_anthropic and VERSION not in map(str.lower, headers):
        headers[VERSION] = ANTHROPIC_VERSION
    secrets += [quote(secret, safe="") for secret in secrets]
    return Credentials(headers, urlencode(query, quote_via=quote), tuple(set(secrets)))


def _header_value(text: str, taken: list[str], *, variable: str) -> str:
    value = resolved(text, taken=taken)
    require_header_value(value, variable=variable)
    return value


def _key_header(name: str, key: str) -> dict[str, str]:
    if name.lower() == AUTHORIZATION:
        return bearer(key)
    return {name: key}


def key_of(config: UpstreamConfig) -> str:
    """Empty where none is named. Raises: UsageError."""
    if config.key_file is not None:
        key = read_secret(Path(config.key_file))
        require_header_value(key, variable=config.key_file)
        return key
    if config.key_env is None:
        return ""
    key = os.environ.get(config.key_env, "").strip()
    if not key:
        raise NoValue(f"the environment variable {config.key_env} is not set")
    require_header_value(key, variable=config.key_env)
    return key


def files_of(config: UpstreamConfig) -> Iterator[Path]:
    """Files whose change is a change of what is sent."""
    if config.key_file is not None:
        yield Path(config.key_file)
    for text in (*config.headers.values(), *config.query.values()):
        yield from files_in(text)


def mistakes_in_form(config: UpstreamConfig) -> Mistakes:
    """On whatever machine."""
    if config.key_env is not None and config.key_file is not None:
        yield Mistake(("key_file",), "a key stands in key_env or key_file, not in both")
    key_header = config.key_stands_in
    if not HEADER_NAME.fullmatch(key_header):
        yield Mistake(("key_header",), "this cannot be a header's name", "key_header: api-key")
    elif key_header.lower() in OURS:
        yield Mistake(("key_header",), "the gateway writes this header itself")
    seen = set[str]()
    if config.key_env is not None or config.key_file is not None:
        seen.add(key_header.lower())
    for name in config.headers:
        place: Place = ("headers", name)
        if not HEADER_NAME.fullmatch(name):
            yield Mistake(place, "this cannot be a header's name")
        elif name.lower() in OURS:
            yield Mistake(place, "the gateway writes this header itself")
        elif name.lower() in seen:
            yield Mistake(place, f"{name} is sent twice")
        seen.add(name.lower())


def mistakes_in_values(config: UpstreamConfig) -> Mistakes:
    """On this machine: what has no value, or one that cannot be sent."""
    variable = config.key_env
    if variable is not None and not VARIABLE.fullmatch(variable):
        yield Mistake(("key_env",), "it names a variable, and holds no key", "key_env: HOSTED_KEY")
        return
    place: Place = ("key_file",) if variable is None else ("key_env",)
    yield from _tried(place, partial(key_of, config))
    for name, text in config.headers.items():
        value = partial(_header_value, text, [], variable=f"headers.{name}")
        yield from _tried(("headers", name), value)
    for name, text in config.query.items():
        yield from _tried(("query", name), partial(resolved, text))
    if config.url is not None and has_variables(config.url):
        yield from _in_url(config.url)


def _in_url(written: str) -> Mistakes:
    """What is wrong with an address is not told by its words: its variables stand in them."""
    try:
        url = resolved(written)
    except NoValue as error:
        yield Mistake(("url",), error.message, error.hint)
        return
    if bad_url(url) is not None:
        yield Mistake(("url",), f"{written} is no URL with its variables' values")


def _tried(place: Place, work: Callable[[], str]) -> Mistakes:
    try:
        work()
    except UsageError as error:
        yield Mistake(place, error.message, error.hint)
