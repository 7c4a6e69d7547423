"""The whole of the gateway's file, and its parts that are about no single upstream or model."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from llmops_cli.core.fields import Share
from llmops_cli.gateway_file.model import CacheConfig, CompressConfig, ModelConfig
from llmops_cli.gateway_file.quantities import Attempts, Count, Pause, Seconds, TagName, Waiting
from llmops_cli.gateway_file.upstream import UpstreamConfig


class LimitSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    streams: Count | None = None


class JudgingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the guard and rules about personal data may read, and how long that may take.

    `text_bytes`: of one request or answer. `seconds`: of one request. `waiting` large ones may
    wait, `per_key` of each key.
    """

    text_bytes: Count = 4 << 20
    seconds: Seconds = 20.0
    waiting: Count = 64
    per_key: Count = 4


class LimitsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`key` is for keys that have no limit of their own.

    `prompt_tokens` and `answer_tokens` are the most of a request, all its prompts or answers
    together; `unsaid_answer_tokens`: see ModelConfig.
    `trusted_proxies` may say in X-Forwarded-For whose address it is. `bad_keys_per_minute`: of an
    address, until it is answered 429. `drain_s`: what a gateway that is told to end gives to the
    answers that are under way. `media_hosts`: from which servers may fetch what a body only
    names; without it all but addresses that a machine has for itself.
    """

    key: LimitSet = LimitSet()
    ip: LimitSet = LimitSet()
    models: dict[str, LimitSet] = {}
    bad_keys_per_minute: Count = 30
    trusted_proxies: list[str] = []
    body_bytes: Count = 10 << 20
    upload_bytes: Count = 25 << 20
    body_s: Seconds = 30.0
    header_s: Seconds = 10.0
    media_hosts: list[str] | None = None
    prompt_tokens: Count | None = None
    answer_tokens: Count | None = None
    unsaid_answer_tokens: Count = 4096
    connections: Count = 4096
    drain_s: Seconds = 30.0
    judging: JudgingConfig = JudgingConfig()


class QueueConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where every upstream of a pool has `max_in_flight`: so many wait, so long."""

    depth: Waiting = 256
    wait_s: Seconds = 30.0


class RetriesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`budget`: retries are at most this share of the requests, and ten more in a burst."""

    most: Attempts = 2
    budget: Share = 0.2


class RedisConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`alone`: without Redis each gateway keeps its own counts; `refuse`: it answers 503."""

    url: str
    when_down: Literal["alone", "refuse"] = "alone"
    prefix: str = "llmops"


class AuditConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`bodies`: prompts and answers too, with personal data and secrets taken out.

    `keys`: prompts and answers are searched for keys of ours and of providers, for the log and a
    metric. `suspicious`: of the requests that the guard flags as attacks and lets through, the
    share whose answers are judged: did the model refuse?
    """

    on: bool = True
    bodies: bool = False
    keys: bool = True
    suspicious: Share = 0.1


class CorsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pages of these origins may ask from a browser. `*`: of any; cookies never count."""

    origins: list[str]
    max_age_s: Count = 600


class StreamsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stream that has nothing to say for so long says that it is alive; 0: it does not."""

    keep_alive_s: Pause = 15.0


class FeedbackConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer may be rated for so many hours."""

    hours: Count = 24


EndpointGroup = Literal["rerank", "score", "tokenize", "audio", "images"]
"""What is passed on to servers that have it, where the file says so."""


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file.

    Without `models`, each model that an upstream lists is served under its own name. `tags`: of
    keys, by which metrics count dollars. `hosts`: names that the gateway may be asked by where no
    key is required, beside those of its machine. `prompts`: a folder of files, served by name.
    """

    upstreams: dict[str, UpstreamConfig]
    models: dict[str, ModelConfig] = {}
    limits: LimitsConfig = LimitsConfig()
    queue: QueueConfig = QueueConfig()
    retries: RetriesConfig = RetriesConfig()
    redis: RedisConfig | None = None
    guard: str | None = None
    guard_alert: Share = 0.2
    prompts: str | None = None
    cache: CacheConfig | None = None
    compress: CompressConfig | None = None
    audit: AuditConfig = AuditConfig()
    feedback: FeedbackConfig | None = None
    cors: CorsConfig | None = None
    streams: StreamsConfig = StreamsConfig()
    endpoints: list[EndpointGroup] = []
    keys_required: bool = True
    hosts: list[str] = []
    tags: Annotated[list[TagName], msgspec.Meta(max_length=8)] = []
    traces: str | None = None
