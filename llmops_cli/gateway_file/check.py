"""What is wrong with a configuration whatever machine it is for."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from llmops_cli.core.errors import UsageError
from llmops_cli.engines import engine_names, load_engine, parse_options
from llmops_cli.gateway_file.config import GatewayConfig, RedisConfig
from llmops_cli.gateway_file.mistake import Mistake, Mistakes, Place, below, misspelt
from llmops_cli.gateway_file.model import CanaryConfig, ModelConfig, Pool, upstream_of
from llmops_cli.gateway_file.upstream import UpstreamConfig

NAME_MOST = 128


def mistakes_in(config: GatewayConfig) -> Mistakes:
    """All that no gateway could run with."""
    for name, upstream in config.upstreams.items():
        mistakes = _in_upstream(name, upstream)
        yield from below(("upstreams", name), mistakes)
    for name, model in config.models.items():
        mistakes = _in_model(name, model, config)
        yield from below(("models", name), mistakes)
    if config.redis:
        mistakes = _in_redis(config.redis)
        yield from below(("redis",), mistakes)
    for name in config.limits.models:
        yield from _unless_known(name, config, ("limits", "models", name))


def _in_upstream(name: str, upstream: UpstreamConfig) -> Mistakes:
    if bool(upstream.url) == bool(upstream.engine):
        yield Mistake((), f"upstream {name} needs a url, or an engine to start")
    if upstream.url:
        message = bad_url(upstream.url)
        if message:
            yield Mistake(("url",), message, "http://127.0.0.1:9000/v1")
    if upstream.engine:
        yield from _in_engine(upstream.engine, upstream.engine_options())


def _in_engine(engine: str, options: Mapping[str, str]) -> Mistakes:
    names = engine_names()
    if engine not in names:
        yield misspelt(("engine",), "engine", engine, names)
        return
    for name, value in options.items():  # each has a line of its own
        yield from _in_options(engine, {name: value}, ("options", name))
    yield from _in_options(engine, options, ("options",))


def _in_options(
    engine: str,
    options: Mapping[str, str],
    place: Place,
) -> Mistakes:
    try:
        parse_options(engine, load_engine(engine), options)
    except UsageError as error:
        yield Mistake(place, error.message, error.hint)


def bad_url(url: str) -> str | None:
    """What is wrong with an address, if anything."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return f"{url} is no URL: {error}"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"{url} is no URL"
    if parts.username or parts.password:
        return "a URL holds no password here; name a variable in key_env"
    if not all(33 <= ord(char) <= 126 for char in url):
        return f"{url!r} is no URL"
    return None


def _in_model(
    name: str,
    model: ModelConfig,
    config: GatewayConfig,
) -> Mistakes:
    if not _is_name(name):
        message = f"a model's name has 1 to {NAME_MOST} printable characters"
        yield Mistake((), message)
    yield from _in_sides(name, model)
    for place, pool in _pools(model).items():
        mistakes = _in_pool(pool, config)
        yield from below(place, mistakes)
    yield from _in_other_models(name, model, config)
    if model.canary:
        mistakes = _in_canary(model.canary, model.members())
        yield from below(("canary",), mistakes)


def _is_name(name: str) -> bool:
    return 0 < len(name) <= NAME_MOST and name.isprintable()


def _in_sides(name: str, model: ModelConfig) -> Mistakes:
    """A pool, or colours of which one is live."""
    has_colours = bool(model.colours)
    if has_colours != bool(model.live) or has_colours == bool(model.pool):
        message = f"model {name} needs a pool, or colours and which of them is live"
        yield Mistake((), message)
    elif model.live and model.live not in model.colours:
        yield misspelt(("live",), "colour", model.live, model.colours)


def _pools(model: ModelConfig) -> dict[Place, Pool]:
    """All that name upstreams, by their place below the model."""
    pools: dict[Place, Pool] = {("pool",): model.pool}
    for colour, pool in model.colours.items():
        pools["colours", colour] = pool
    for number, rule in enumerate(model.rules):
        pools["rules", number, "use"] = rule.use
    if model.canary:
        pools["canary", "use"] = model.canary.use
    if model.shadow:
        pools["shadow", "use"] = model.shadow.use
    return pools


def _in_pool(pool: Pool, config: GatewayConfig) -> Mistakes:
    for number, member in enumerate(pool):
        upstream = upstream_of(member)
        if upstream not in config.upstreams:
            yield misspelt((number,), "upstream", upstream, config.upstreams)


def _in_other_models(
    name: str,
    model: ModelConfig,
    config: GatewayConfig,
) -> Mistakes:
    """Those that stand in for this one, or answer first."""
    for number, other in enumerate(model.fallback):
        place: Place = ("fallback", number)
        yield from _unless_known(other, config, place)
        if other == name:
            yield Mistake(place, "a model cannot stand in for itself")
    if model.hybrid:
        place = ("hybrid", "small")
        yield from _unless_known(model.hybrid.small, config, place)


def _unless_known(
    name: str,
    config: GatewayConfig,
    place: Place,
) -> Mistakes:
    """Without `models`, only the upstreams know which there are."""
    if config.models and name not in config.models:
        yield misspelt(place, "model", name, config.models)


def _in_canary(canary: CanaryConfig, members: Pool) -> Mistakes:
    if all(member in members for member in canary.use):
        yield Mistake(("use",), "the canary uses what the pool uses")
    if sorted(canary.steps) != canary.steps:
        yield Mistake(("steps",), "the steps of a canary grow")


def _in_redis(redis: RedisConfig) -> Mistakes:
    scheme = urlsplit(redis.url).scheme
    if scheme not in ("redis", "rediss", "unix"):
        message = f"{redis.url} is no address of Redis"
        yield Mistake(("url",), message, "redis://127.0.0.1:6379/0")
