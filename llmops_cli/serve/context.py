"""One request under way: what was asked, what was decided for it, and what was observed."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from llmops_cli.core.rating import Rating
from llmops_cli.gateway_file.model import ModelConfig
from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.cache_control import CacheWish
from llmops_cli.serve.endpoints import NOWHERE, Endpoint
from llmops_cli.serve.form import FilePart
from llmops_cli.serve.media import medium_of
from llmops_cli.serve.prompts.filled import FilledPrompt
from llmops_cli.serve.reading import (
    ITEM_TOKENS,
    Json,
    Reading,
    Text,
    read,
)
from llmops_cli.serve.refusal import Headers
from llmops_cli.serve.request import RequestBody
from llmops_cli.serve.seen_texts import SeenTexts
from llmops_cli.serve.upstreams.candidate import RoutingCandidate
from llmops_cli.serve.upstreams.destinations import NOWHERE as NO_UPSTREAM
from llmops_cli.serve.upstreams.destinations import Destinations
from llmops_cli.serve.watch.audit import AuditedOrder

if TYPE_CHECKING:
    from llmops_cli.serve.upstreams.anthropic.chat_translation import ChatTranslation

Fields = dict[str, msgspec.Raw]
"""A body, its values not decoded."""

MEDIUM_TOKENS = 1000
"""Of an image, a sound or a file, where its tokens are only estimated."""
NAME_CHARS = 128
"""Of a model's name that only the client knows, in logs and messages."""

ANYBODY = Key(id="open", name="open", role="admin", models=[], created=0.0)
"""Whoever asks where no key is needed."""
NO_BODY = RequestBody()
NO_SETTINGS = ModelConfig()


class Usage(msgspec.Struct):
    """Tokens as the upstream counts them; where it does not, an estimate.

    `cached_tokens` (that an upstream's cache had) and `cache_write_tokens` (that were put there)
    are some of the input's, `reasoning_tokens` some of the output's; `audio_input_tokens` and
    `audio_output_tokens` are some of the rest of each. `tells_input`, `tells_output`: the upstream
    has counted, and its zero is a zero.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    tells_input: bool = False
    tells_output: bool = False

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def parts(self) -> tuple[tuple[str, int], ...]:
        """What is told apart, by the names that the metrics have."""
        return (
            ("cached", self.cached_tokens),
            ("cache_write", self.cache_write_tokens),
            ("reasoning", self.reasoning_tokens),
            ("audio_input", self.audio_input_tokens),
            ("audio_output", self.audio_output_tokens),
        )

    def plus(self, other: Usage) -> Usage:
        """Of two answers."""
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            audio_input_tokens=self.audio_input_tokens + other.audio_input_tokens,
            audio_output_tokens=self.audio_output_tokens + other.audio_output_tokens,
        )

    def without_zeros(self) -> Usage:
        """Of a count that was told before there was anything to count: its zeros say nothing."""
        return msgspec.structs.replace(
            self,
            tells_input=self.tells_input and self.input_tokens > 0,
            tells_output=self.tells_output and self.output_tokens > 0,
        )

    def heard(self, later: Usage | None) -> Usage:
        """Of one answer, as its events tell it: each what there is so far, or a part."""
        if later is None:
            return self
        prompt = max(self.input_tokens, later.input_tokens)
        cached = max(self.cached_tokens, later.cached_tokens)
        put_there = max(self.cache_write_tokens, later.cache_write_tokens)
        written = min(put_there, prompt - cached)
        answer = max(self.output_tokens, later.output_tokens)
        thought = max(self.reasoning_tokens, later.reasoning_tokens)
        heard = max(self.audio_input_tokens, later.audio_input_tokens)
        spoken = max(self.audio_output_tokens, later.audio_output_tokens)
        return Usage(
            input_tokens=prompt,
            output_tokens=answer,
            cached_tokens=cached,
            cache_write_tokens=written,
            reasoning_tokens=thought,
            audio_input_tokens=min(heard, prompt - cached - written),
            audio_output_tokens=min(spoken, answer - thought),
            tells_input=self.tells_input or later.tells_input,
            tells_output=self.tells_output or later.tells_output,
        )


class Urgency(StrEnum):
    INTERACTIVE = "interactive"
    BATCH = "batch"


class CacheUse(StrEnum):
    """What the cache did for a request; NONE: there is none."""

    NONE = ""
    HIT = "hit"
    MISS = "miss"
    STALE = "stale"
    SEMANTIC = "semantic"
    BYPASS = "bypass"


class Ended(StrEnum):
    """How what the client was sent came to its end.

    BROKEN: the upstream's doing, or ours; DEADLINE: the client's own, in the middle of an answer.
    """

    OK = "ok"
    BROKEN = "broken"
    DEADLINE = "deadline"
    CLIENT_GONE = "client_gone"


class GuardVerdict(msgspec.Struct, frozen=True):
    """What the guard did with a prompt, or an answer, that it did not just let through."""

    direction: str
    action: str
    rule: str = ""

    @property
    def blocks_output(self) -> bool:
        return self.direction == "output" and self.action == "block"

    def __str__(self) -> str:
        shown = f"{self.direction} {self.action}"
        return f"{shown}: {self.rule}" if self.rule else shown


class Asked(msgspec.Struct, kw_only=True):
    """Who wants what, by when. Read by the door; afterwards a guard may take words out of it.

    `route`: the path as logs show it. `key_id` and `key_name` are empty for anybody.
    `deadline`: on the monotonic clock; 0: none. `parent`: a W3C trace context.
    `personal`: somebody's data may be in it; so long as nobody has looked, it may.
    `values`: the body, decoded; `fields`: the same as it may be sent; `files`: of a form.
    `further`: fields of it that the file allows for this model. `filled`: a prompt of ours; the
    values that the client gives stand in its messages, and are judged as what they are too, a
    user's texts.
    """

    route: str
    id: str
    start: float
    endpoint: Endpoint = NOWHERE
    body: RequestBody = NO_BODY
    fields: Fields = {}
    values: Json = {}
    files: tuple[FilePart, ...] = ()
    further: frozenset[str] = frozenset()
    filled: FilledPrompt | None = None
    key: Key = ANYBODY
    key_id: str = ""
    key_name: str = ""
    ip: str = ""
    session: str = ""
    parent: str = ""
    urgency: Urgency = Urgency.INTERACTIVE
    deadline: float = 0.0
    cache_wish: CacheWish = CacheWish()
    body_bytes: int = 0
    personal: bool = True
    was_read: Reading | None = None

    @property
    def model(self) -> str:
        """As logs and messages show it."""
        return self.body.model[:NAME_CHARS]

    @property
    def who(self) -> str:
        """Who asks, as far as that is known."""
        return self.key_id or self.ip

    @property
    def streams(self) -> bool:
        return bool(self.body.stream)

    def left_s(self) -> float | None:
        """Until the client's own deadline."""
        if not self.deadline:
            return None
        return self.deadline - time.monotonic()

    def allow(self, further: Iterable[str]) -> None:
        """Fields that the file allows, beside those of the endpoint."""
        self.further = frozenset(further)
        if not self.further.isdisjoint(self.values):
            self.was_read = None

    def reading(self) -> Reading:
        """All of the body that reaches the model. Read once."""
        if self.was_read is None:
            self.was_read = read(
                self.endpoint.target.fields,
                self.values,
                prompt=self.endpoint.prompt,
                further=self.further,
            )
        if self.files and not self.was_read.has_files:
            self.was_read.has_files = True
            self.was_read.media += [medium_of(file.kind, len(file.data)) for file in self.files]
        return self.was_read

    def texts(self) -> list[Text]:
        """Every text that reaches the model, as it may be written there, and whose it is."""
        reading = self.reading()
        variables = self.filled.values.values() if self.filled else ()
        if not reading.joined and not variables:
            return reading.texts
        return [*reading.texts, *reading.joined, *(("user", each) for each in variables)]

    def turns(self) -> int:
        """How many of the texts, from the first, the model reads one after the other."""
        reading = self.reading()
        return len(reading.texts) if reading.prompts == 1 else 0

    def needs(self) -> set[str]:
        """What an upstream must be able to do, in the words of `can:`."""
        found = set()
        if self.body.tools or self.values.get("functions"):
            found.add("tools")
        if isinstance(self.body.response_format, dict) and self.body.response_format:
            found.add("json")
        if self.reading().images:
            found.add("vision")
        return found

    def answer_tokens(self) -> int | None:
        """The most that one answer may have, as asked for; None: not said."""
        return self.endpoint.answer_tokens(self.body)

    def copies(self) -> int:
        """How many answers are given to a body."""
        return self.reading().prompts * max(1, self.body.n or 1)

    def prompt_tokens(self) -> int:
        """An estimate by what the texts are, with a thousand for an image.

        A prompt that is tokens is counted.
        """
        found = self.reading()
        apart = found.token_ids + MEDIUM_TOKENS * len(found.media)
        return found.text_tokens() + ITEM_TOKENS * found.items + apart


class Decided(msgspec.Struct):
    """What the gateway made of it.

    `alias`: the model's name in metrics. `fields`: the body that upstreams get. `headers`: what
    the client is told beside the answer. `destinations`: who may see what it says. `prompt`: of
    ours, with its version. `saved_tokens`: estimated, by compression.
    `rated`: what was said of an answer of before. `config`: the digest of what was served then.
    """

    headers: Headers
    alias: str = ""
    prompt: str = ""
    config: str = ""
    saved_tokens: int = 0
    rated: Rating | None = None
    settings: ModelConfig = NO_SETTINGS
    fields: Fields = {}
    prompt_tokens: int = 0
    answer_tokens: int = 0
    destinations: Destinations = NO_UPSTREAM

    @property
    def tokens(self) -> int:
        """What the request may take of a limit, or of an upstream."""
        return self.prompt_tokens + self.answer_tokens


class Observed(msgspec.Struct):
    """What came of it: for the log, the metrics and the trace.

    `working`: who was asked and has not answered; a copy that lost its race stays there.
    `order`: of an operator, as far as it is known by now. `seen`: where somebody looks at it.
    """

    status: int = 0
    error: str = ""
    ended: Ended = Ended.OK
    first_s: float = 0.0
    usage: Usage = msgspec.field(default_factory=Usage)
    dollars: float = 0.0
    upstream: str = ""
    member: str = ""
    model_digest: str = ""
    side: str = ""
    cache: CacheUse = CacheUse.NONE
    guard: GuardVerdict | None = None
    answered: bool = False
    order: AuditedOrder | None = None
    seen: SeenTexts | None = None
    working: list[RoutingCandidate] = msgspec.field(default_factory=list)
    trace: Any = None  # Any: an OpenTelemetry span, where that is installed
    bodies: Any = None  # Any: what the audit log may keep of them

    @property
    def guard_shown(self) -> str:
        return "" if self.guard is None else str(self.guard)


class RequestContext:
    """The three, together: what is handed from room to room.

    `translation`: of a chat that was let in, for upstreams of another dialect.
    """

    __slots__ = ("asked", "decided", "observed", "translation")

    def __init__(self, route: str, endpoint: Endpoint = NOWHERE) -> None:
        name = f"{random.getrandbits(64):016x}"
        self.asked = Asked(route=route, id=name, start=time.monotonic(), endpoint=endpoint)
        self.decided = Decided(headers=[(b"x-request-id", name.encode())])
        self.observed = Observed()
        self.translation: ChatTranslation | None = None
