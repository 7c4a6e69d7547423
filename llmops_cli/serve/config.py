"""The gateway's YAML file: what it fronts, under which names, within which limits. Mistakes come
with their line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
import yaml

from llmops_cli.core.errors import LlmopsError, UsageError, unknown_name

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Dollars = Annotated[float, msgspec.Meta(ge=0)]
CAPABILITIES = ("vision", "tools", "json")


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dollars per million tokens; or what an hour of the machine costs and how many tokens a second
    it makes.
    """

    input: Dollars | None = None
    output: Dollars | None = None
    gpu_hour: Dollars | None = None
    tokens_per_s: Annotated[float, msgspec.Meta(gt=0)] | None = None

    def per_token(self) -> tuple[float, float]:
        """Dollars of one token of a prompt, and of an answer."""
        if self.gpu_hour is not None and self.tokens_per_s:
            each = self.gpu_hour / 3600 / self.tokens_per_s
            return each, each
        return (self.input or 0.0) / 1e6, (self.output or 0.0) / 1e6


class TimeoutsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds: to connect, to the first byte of an answer, between two pieces of it, and in all."""

    connect_s: Seconds = 5.0
    first_byte_s: Seconds = 300.0
    between_s: Seconds = 120.0
    total_s: Seconds = 900.0


class UpstreamConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either `url`, or `engine` and `model` to start. `price` is numbers, or `genai` for the public
    table's. `can`: what it can do, if not everything. `count_tokens` is false for one that knows no
    `stream_options`.
    """

    url: str | None = None
    engine: str | None = None
    model: str | None = None
    options: dict[str, str | int | float | bool] = {}
    replicas: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    key_env: str | None = None
    price: Price | Literal["genai"] | None = None
    can: list[Literal["vision", "tools", "json"]] | None = None
    max_in_flight: Count | None = None
    timeouts: TimeoutsConfig = TimeoutsConfig()
    count_tokens: bool = True


class Member(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An upstream in a pool. `model`: its own name for the model."""

    upstream: str
    model: str | None = None
    weight: Annotated[float, msgspec.Meta(gt=0)] = 1.0


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request that meets all that is said here goes to `use`. Tokens are estimated from
    characters.
    """

    use: list[str | Member]
    longer_than: Count | None = None
    shorter_than: Count | None = None
    urgency: Literal["interactive", "batch"] | None = None
    private: bool | None = None
    needs: Literal["vision", "tools", "json"] | None = None
    keys: list[str] = []


class Canary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`use` gets each share of `steps` (percent) for `step_s`, and `requests` in it at least. It is
    rolled back when its errors are `errors` (a share) above the stable side's or its median TTFT is
    over `ttft` times the stable one's.
    """

    use: list[str | Member]
    steps: list[Annotated[int, msgspec.Meta(ge=1, le=100)]] = msgspec.field(
        default_factory=lambda: [5, 50, 100]
    )
    step_s: Seconds = 600.0
    requests: Annotated[int, msgspec.Meta(ge=20)] = 100
    errors: Share = 0.02
    ttft: Annotated[float, msgspec.Meta(gt=1)] = 1.5


class Shadow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A copy of `share` of the requests, whose answers nobody sees."""

    use: list[str | Member]
    share: Share = 0.05
    at_once: Count = 16


class Hybrid(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`small` (another model here) answers first; below a mean token probability of `sure`, the
    model itself does.
    """

    small: str
    sure: Share = 0.7


class Semantic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answers of questions that mean the same. `model` makes the vectors and is one of the models
    here.
    """

    model: str
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.95
    entries: Count = 2000


class CacheConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`stale`: an expired answer is better than none when nothing answers."""

    ttl_s: Seconds = 3600.0
    semantic: Semantic | None = None
    stale: bool = False


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name that clients use. `pool` or, for a blue-green switch, `colours` and which of them is
    `live`.
    """

    pool: list[str | Member] = []
    colours: dict[str, list[str | Member]] = {}
    live: str | None = None
    balance: Literal["tokens", "prefix", "sticky", "cost"] = "tokens"
    rules: list[When] = []
    fallback: list[str] = []
    adapters: list[str] = []
    hybrid: Hybrid | None = None
    canary: Canary | None = None
    shadow: Shadow | None = None
    cache: CacheConfig | None = None
    hedge_after_s: Seconds | None = None

    def members(self) -> list[str | Member]:
        return self.colours[self.live] if self.live else self.pool


class LimitSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    streams: Count | None = None


class LimitsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`key` is for keys that have no limit of their own. `trusted_proxies` may say in
    X-Forwarded-For who asks.
    """

    key: LimitSet = LimitSet()
    ip: LimitSet = LimitSet()
    models: dict[str, LimitSet] = {}
    trusted_proxies: list[str] = []
    body_bytes: Count = 10 << 20
    body_s: Seconds = 30.0
    header_s: Seconds = 10.0
    prompt_tokens: Count | None = None
    answer_tokens: Count = 131_072
    unsaid_answer_tokens: Count = 4096
    connections: Count = 4096


class QueueConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where every upstream of a pool has `max_in_flight`: so many wait, so long."""

    depth: Annotated[int, msgspec.Meta(ge=0)] = 256
    wait_s: Seconds = 30.0


class RetriesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`budget`: retries are at most this share of the requests, and ten more in a burst."""

    most: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2
    budget: Share = 0.2


class RedisConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`alone`: without Redis each gateway keeps its own counts; `refuse`: it answers 503."""

    url: str
    when_down: Literal["alone", "refuse"] = "alone"
    prefix: str = "llmops"


class AuditConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`bodies`: prompts and answers too, with personal data and secrets taken out."""

    on: bool = True
    bodies: bool = False


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file. Without `models`, each model that an upstream lists is served under its own
    name.
    """

    upstreams: dict[str, UpstreamConfig]
    models: dict[str, ModelConfig] = {}
    limits: LimitsConfig = LimitsConfig()
    queue: QueueConfig = QueueConfig()
    retries: RetriesConfig = RetriesConfig()
    redis: RedisConfig | None = None
    guard: str | None = None
    guard_alert: Share = 0.2
    cache: CacheConfig | None = None
    audit: AuditConfig = AuditConfig()
    keys_required: bool = True
    traces: str | None = None


_Struct = TypeVar("_Struct")
_PLACE = re.compile(r" - at `(?:key in )?\$(.*)`$")
_ENUM = re.compile(r"Invalid enum value '([^']*)'")
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]*)`")


def load_config(path: Path) -> GatewayConfig:
    """The file's. Raises: UsageError with the line, and the nearest name for one that does not
    exist.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"no configuration at {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        raw = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UsageError(
            f"{path}:{mark.line + 1 if mark else 1}: {error.problem or error.context}"
        ) from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())[:160]}") from error
    if not isinstance(raw, dict) or node is None:
        raise UsageError(f"{path} holds no configuration", hint="it begins with upstreams:")
    return _Reader(path, node).config(raw)


class _Reader:
    """Turns YAML into a GatewayConfig, and a mistake into one line with its place."""

    def __init__(self, path: Path, node: yaml.Node) -> None:
        self._path = path
        self._root = node

    def config(self, raw: dict[str, Any]) -> GatewayConfig:  # Any: YAML
        named = {}
        for section, kind in (("upstreams", UpstreamConfig), ("models", ModelConfig)):
            entries = raw.get(section)
            if entries is None:
                entries = {}
            if not isinstance(entries, dict):
                raise self._error([section], f"{section} maps names to what they are")
            named[section] = {
                str(name): self._convert(entry, kind, [section, name])
                for name, entry in entries.items()
            }
        self._no_duplicates(self._root, [])
        if not named["upstreams"]:
            raise self._error(
                ["upstreams"], "there is no upstream", hint="upstreams: {local: {url: http://...}}"
            )
        rest = {key: value for key, value in raw.items() if key not in named}
        whole = self._convert({**rest, "upstreams": {}}, GatewayConfig, [])
        found = msgspec.structs.replace(whole, **named)
        self._check(found)
        return found

    def _convert(self, raw: Any, kind: type[_Struct], place: list[Any]) -> _Struct:  # Any: YAML
        try:
            return msgspec.convert(raw, kind)
        except msgspec.ValidationError as error:
            said = str(error)
            inner = list[Any]()
            if match := _PLACE.search(said):
                said = said[: match.start()]
                inner = _steps(match[1])
            if match := _UNKNOWN.search(said):
                fields = _fields(kind, inner)
                wrong = unknown_name("field", match[1], fields)
                raise self._error(
                    [*place, *inner, match[1]], wrong.message, hint=wrong.hint
                ) from None
            if match := _ENUM.search(said):
                wrong = unknown_name("value", match[1], _values(kind, inner))
                raise self._error([*place, *inner], wrong.message, hint=wrong.hint) from None
            said = said.replace("got `null`", "and nothing stands there").replace("`", "")
            raise self._error([*place, *inner], said) from None

    def _no_duplicates(self, node: yaml.Node, place: list[Any]) -> None:  # Any: steps into YAML
        """YAML takes the last of two; nobody means that."""
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise UsageError(
                        f"{self._path}:{line}: {'.'.join([*map(str, place), key.value])} stands there twice"
                    )
                seen.add(key.value)
                self._no_duplicates(value, [*place, key.value])
        elif isinstance(node, yaml.SequenceNode):
            for i, value in enumerate(node.value):
                self._no_duplicates(value, [*place, i])

    def _check(self, config: GatewayConfig) -> None:
        for name, upstream in config.upstreams.items():
            place = ["upstreams", name]
            if bool(upstream.url) == bool(upstream.engine):
                raise self._error(place, f"upstream {name} needs a url, or an engine to start")
            if upstream.url and (said := bad_url(upstream.url)):
                raise self._error([*place, "url"], said, hint="http://127.0.0.1:9000/v1")
            if upstream.key_env and not os.environ.get(upstream.key_env, "").strip():
                raise self._error(
                    [*place, "key_env"], f"the environment variable {upstream.key_env} is not set"
                )
        for name, model in config.models.items():
            if not name.isprintable() or not name or len(name) > 128:
                raise self._error(
                    ["models", name], "a model's name has 1 to 128 printable characters"
                )
            self._check_model(config, name, model)
        if config.redis and urlsplit(config.redis.url).scheme not in ("redis", "rediss", "unix"):
            raise self._error(
                ["redis", "url"],
                f"{config.redis.url} is no address of Redis",
                hint="redis://127.0.0.1:6379/0",
            )
        for name in config.limits.models:
            self._known(name, config, ["limits", "models", name])
        if config.guard and config.guard != "default" and not self.beside(config.guard).is_file():
            raise self._error(["guard"], f"no policy at {config.guard}")

    def beside(self, name: str) -> Path:
        return self._path.parent / Path(name).expanduser()

    def _check_model(self, config: GatewayConfig, name: str, model: ModelConfig) -> None:
        place: list[Any] = ["models", name]
        if bool(model.colours) != bool(model.live) or bool(model.pool) == bool(model.colours):
            raise self._error(
                place, f"model {name} needs a pool, or colours and which of them is live"
            )
        if model.live and model.live not in model.colours:
            wrong = unknown_name("colour", model.live, model.colours)
            raise self._error([*place, "live"], wrong.message, hint=wrong.hint)
        pools: list[tuple[list[str | Member], list[Any]]] = [(model.pool, ["pool"])]
        pools += [(members, ["colours", colour]) for colour, members in model.colours.items()]
        pools += [(rule.use, ["rules", i, "use"]) for i, rule in enumerate(model.rules)]
        pools += [
            (part.use, [key, "use"])
            for key, part in (("canary", model.canary), ("shadow", model.shadow))
            if part
        ]
        for members, inner in pools:
            for i, member in enumerate(members):
                upstream = member if isinstance(member, str) else member.upstream
                if upstream not in config.upstreams:
                    wrong = unknown_name("upstream", upstream, config.upstreams)
                    raise self._error([*place, *inner, i], wrong.message, hint=wrong.hint)
        for i, other in enumerate(model.fallback):
            self._known(other, config, [*place, "fallback", i])
            if other == name:
                raise self._error([*place, "fallback", i], "a model cannot stand in for itself")
        if model.hybrid:
            self._known(model.hybrid.small, config, [*place, "hybrid", "small"])
        if model.canary and all(member in model.members() for member in model.canary.use):
            raise self._error([*place, "canary", "use"], "the canary uses what the pool uses")
        if model.canary and sorted(model.canary.steps) != model.canary.steps:
            raise self._error([*place, "canary", "steps"], "the steps of a canary grow")

    def _known(
        self, name: str, config: GatewayConfig, place: list[Any]
    ) -> None:  # Any: steps into YAML
        if config.models and name not in config.models:
            wrong = unknown_name("model", name, config.models)
            raise self._error(place, wrong.message, hint=wrong.hint)

    def _error(
        self, place: list[Any], said: str, *, hint: str | None = None
    ) -> LlmopsError:  # Any: steps into YAML
        dotted = ".".join(map(str, place))
        at = f"{self._path}:{self._line(place)}"
        return UsageError(f"{at}: {dotted}: {said}" if dotted else f"{at}: {said}", hint=hint)

    def _line(self, place: list[Any]) -> int:
        """Of the last step that the file has."""
        node = self._root
        line = self._root.start_mark.line
        for step in place:
            if isinstance(node, yaml.MappingNode):
                found = next(((k, v) for k, v in node.value if k.value == str(step)), None)
                if found is None:
                    break
                line = found[0].start_mark.line
                node = found[1]
            elif (
                isinstance(node, yaml.SequenceNode)
                and isinstance(step, int)
                and step < len(node.value)
            ):
                node = node.value[step]
                line = node.start_mark.line
            else:
                break
        return int(line) + 1


def _steps(path: str) -> list[Any]:
    """`.pool[0].weight` -> pool, 0, weight."""
    return [
        int(number) if number else name
        for name, number in re.findall(r"\.([^.\[]+)|\[(\d+)\]", path)
    ]


def _fields(kind: Any, inner: list[Any]) -> Iterator[str] | tuple[str, ...]:  # Any: types
    """Names that a struct knows, however deep."""
    info = msgspec.inspect.type_info(kind)
    for step in inner:
        info = _deeper(info, step)
    for option in getattr(info, "types", (info,)):
        if isinstance(option, msgspec.inspect.StructType):
            return tuple(field.encode_name for field in option.fields)
    return ()


def _values(kind: Any, inner: list[Any]) -> list[str]:  # Any: types
    """What a place of fixed values takes."""
    info = msgspec.inspect.type_info(kind)
    for step in inner:
        info = _deeper(info, step)
    options = getattr(info, "types", (info,))
    return [
        str(value)
        for each in options
        if isinstance(each, msgspec.inspect.LiteralType)
        for value in each.values
    ]


def _deeper(info: Any, step: Any) -> Any:  # Any: msgspec's descriptions of types
    for option in getattr(info, "types", (info,)):
        if isinstance(option, msgspec.inspect.StructType):
            found = next((field.type for field in option.fields if field.encode_name == step), None)
            if found is not None:
                return found
        if isinstance(option, msgspec.inspect.ListType):
            return option.item_type
        if isinstance(option, msgspec.inspect.DictType):
            return option.value_type
    return info


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
    if any(ord(c) < 33 or ord(c) > 126 for c in url):
        return f"{url!r} is no URL"
    return None
