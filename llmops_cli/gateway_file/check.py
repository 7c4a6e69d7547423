"""What is wrong with a configuration whatever machine it is for."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from llmops_cli.core.errors import UsageError
from llmops_cli.engines import engine_names, load_engine, parse_options
from llmops_cli.gateway_file.combinations import contradictions_in
from llmops_cli.gateway_file.config import CorsConfig, GatewayConfig, RedisConfig
from llmops_cli.gateway_file.credentials import mistakes_in_form
from llmops_cli.gateway_file.discovery import mistakes_in_discovery
from llmops_cli.gateway_file.mistake import Mistake, Mistakes, Place, below, misspelt
from llmops_cli.gateway_file.model import ModelConfig
from llmops_cli.gateway_file.references import mistakes_in_references
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.gateway_file.url import MODEL_PLACE, bad_url, is_visible_ascii
from llmops_cli.gateway_file.variables import has_variables

NAME_MOST = 128
HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})|[0-9a-fA-F:.]{2,45}")
ORIGIN = "https://chat.example.org"
RUNS_ALREADY = "remote"
REDIS_SCHEMES = ("redis", "rediss", "unix")


def mistakes_in(config: GatewayConfig) -> Mistakes:
    """All that no gateway could run with."""
    place: Place
    for name, upstream in config.upstreams.items():
        place = ("upstreams", name)
        mistakes = _in_upstream(name, upstream, config)
        yield from below(place, mistakes)
    for name, model in config.models.items():
        place = ("models", name)
        mistakes = _in_model(name, model)
        yield from below(place, mistakes)
    if config.redis:
        mistakes = _in_redis(config.redis)
        yield from below(("redis",), mistakes)
    if config.cors:
        mistakes = _in_cors(config.cors)
        yield from below(("cors",), mistakes)
    yield from _in_networks(config.limits.trusted_proxies)
    yield from _in_media_hosts(config.limits.media_hosts or [])
    yield from _in_openness(config)
    yield from mistakes_in_references(config)
    if config.traces is not None:
        yield from below(("traces",), _in_traces(config.traces))
    yield from contradictions_in(config)


def _in_upstream(
    name: str,
    upstream: UpstreamConfig,
    config: GatewayConfig,
) -> Mistakes:
    if not _is_name(name):
        yield Mistake((), f"an upstream's name has 1 to {NAME_MOST} printable characters")
    if _sources(upstream) != 1:
        message = f"upstream {name} needs a url, an engine to start, or discover; one of them"
        yield Mistake((), message)
    if upstream.url:
        yield from _in_url(upstream.url, named=bool(config.models))
    if upstream.discover is not None:
        yield from below(("discover",), mistakes_in_discovery(upstream.discover))
    yield from mistakes_in_form(upstream)
    if upstream.engine:
        options = upstream.engine_options()
        yield from _in_engine(upstream.engine, options)


def _sources(upstream: UpstreamConfig) -> int:
    """Of its addresses, how many are given."""
    return sum(map(bool, (upstream.url, upstream.engine, upstream.discover)))


def _in_url(url: str, *, named: bool) -> Mistakes:
    """`named`: the file names its models. What has variables is looked at with their values."""
    message = None if has_variables(url) else bad_url(url)
    if message:
        yield Mistake(("url",), message, "http://127.0.0.1:9000/v1")
    if MODEL_PLACE in url and not named:
        yield Mistake(("url",), f"{MODEL_PLACE} is a name of models:, and there are none")


def _in_engine(engine: str, options: Mapping[str, str]) -> Mistakes:
    names = engine_names()
    if engine not in names:
        yield misspelt(("engine",), "engine", engine, names)
        return
    if engine == RUNS_ALREADY:
        message = f"{engine} is a server that runs already, so there is nothing to start"
        yield Mistake(("engine",), message, "url: http://127.0.0.1:8000/v1 in its place")
        return
    yield from _in_options(engine, options)


def _in_options(engine: str, options: Mapping[str, str]) -> Mistakes:
    """All of them, as some are right only together; what one is to blame for has its line."""
    left = dict(options)
    while error := _refusal(engine, left):
        blamed = _blamed(engine, left, error)
        place: Place = ("options",) if blamed is None else ("options", blamed)
        yield Mistake(place, error.message, error.hint)
        if blamed is None:
            return
        del left[blamed]


def _blamed(
    engine: str,
    options: Mapping[str, str],
    error: UsageError,
) -> str | None:
    """The one that is refused alone as it is among the others."""
    for name, value in options.items():
        alone = _refusal(engine, {name: value})
        if alone is not None and alone.message == error.message:
            return name
    return None


def _refusal(engine: str, options: Mapping[str, str]) -> UsageError | None:
    loaded = load_engine(engine)
    try:
        parse_options(engine, loaded, options)
    except UsageError as error:
        return error
    return None


def _in_model(name: str, model: ModelConfig) -> Mistakes:
    if not _is_name(name):
        message = f"a model's name has 1 to {NAME_MOST} printable characters"
        yield Mistake((), message)
    yield from _in_sides(name, model)
    for number, adapter in enumerate(model.adapters):
        if not _is_name(adapter):
            message = f"an adapter's name has 1 to {NAME_MOST} printable characters"
            yield Mistake(("adapters", number), message)
    if name in model.fallback:
        place = ("fallback", model.fallback.index(name))
        yield Mistake(place, "a model cannot stand in for itself")


def _is_name(name: str) -> bool:
    if not name or len(name) > NAME_MOST:
        return False
    return name.isprintable()


def _in_sides(name: str, model: ModelConfig) -> Mistakes:
    """A pool, or colours of which one is live."""
    has_colours = bool(model.colours)
    has_live = bool(model.live)
    has_pool = bool(model.pool)
    if has_colours != has_live or has_colours == has_pool:
        message = f"model {name} needs a pool, or colours and which of them is live"
        yield Mistake((), message)


def _in_redis(redis: RedisConfig) -> Mistakes:
    if not _is_redis(redis.url):
        yield Mistake(("url",), "that is no address of Redis", "redis://127.0.0.1:6379/0")
    if not redis.prefix.isprintable() or not redis.prefix.strip():
        yield Mistake(("prefix",), "a prefix has printable characters")


def _is_redis(url: str) -> bool:
    """Its words are not shown: they may hold a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if parts.scheme == "unix":
        return bool(parts.path)
    database = parts.path.removeprefix("/")
    has_database = not database or database.isdecimal()
    return parts.scheme in REDIS_SCHEMES and bool(parts.hostname) and has_database


def _in_traces(url: str) -> Mistakes:
    message = bad_url(url)
    if message:
        yield Mistake((), message, "http://127.0.0.1:4318")


def _in_networks(networks: list[str]) -> Mistakes:
    for number, network in enumerate(networks):
        if not _is_network(network):
            place = ("limits", "trusted_proxies", number)
            yield Mistake(place, f"{network!r} is no address or network", "10.0.0.0/8")


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _in_media_hosts(hosts: list[str]) -> Mistakes:
    for number, host in enumerate(hosts):
        if not HOST.fullmatch(host.removeprefix(".")):
            message = f"{host!r} is no host's name, without scheme and port"
            hint = "cdn.example.org, or .example.org for all below it"
            yield Mistake(("limits", "media_hosts", number), message, hint)


def _in_openness(config: GatewayConfig) -> Mistakes:
    """What a browser may do where no key is required."""
    for number, host in enumerate(config.hosts):
        if not HOST.fullmatch(host):
            message = f"{host!r} is no host's name, without scheme and port"
            yield Mistake(("hosts", number), message, "gateway.example.org")
    if config.cors and "*" in config.cors.origins and not config.keys_required:
        message = "without keys any page on the web could ask: name the origins"
        yield Mistake(("cors", "origins"), message, ORIGIN)


def _in_cors(cors: CorsConfig) -> Mistakes:
    if not cors.origins:
        yield Mistake(("origins",), "no origin may ask", ORIGIN)
    for number, origin in enumerate(cors.origins):
        if not _is_origin(origin):
            yield Mistake(("origins", number), f"{origin!r} is no origin", ORIGIN)


def _is_origin(text: str) -> bool:
    """As browsers send it: a scheme and a host, and a port that is not the scheme's own."""
    if text == "*":
        return True
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return text == f"{parts.scheme}://{parts.netloc}" and _is_host(parts)


def _is_host(parts: SplitResult) -> bool:
    if not parts.scheme or not parts.hostname or parts.username:
        return False
    return is_visible_ascii(parts.netloc) and parts.netloc == parts.netloc.lower()
