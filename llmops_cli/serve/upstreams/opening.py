"""The one way in which a request's body leaves for an upstream: to those that may see it."""

from __future__ import annotations

import msgspec

from llmops_cli.gateway_file.model import ModelConfig
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.serve.context import Fields, RequestContext
from llmops_cli.serve.endpoints import CHAT, MESSAGES, OF_JSON
from llmops_cli.serve.form import written_form
from llmops_cli.serve.refusal import Header, Headers, Refusal
from llmops_cli.serve.upstreams.anthropic.request import MessagesBody, not_in_messages
from llmops_cli.serve.upstreams.anthropic.translation import MessagesAnswer
from llmops_cli.serve.upstreams.candidate import RoutingCandidate
from llmops_cli.serve.upstreams.destinations import Destinations
from llmops_cli.serve.upstreams.origin import Origin
from llmops_cli.serve.upstreams.reply import Reply

_TRUE = b"true"
EFFORT = "reasoning_effort"
_EVENTS = b'"sse"'
JSON = (b"Content-Type", b"application/json")


class RoutedRequest(msgspec.Struct, frozen=True):
    """A request for one model of the file. `fields` is the body that the upstream gets.

    `destinations`: where that model, and the one that was asked for, let it go. `is_named_freely`:
    the file does not name the model, only the client does.
    """

    alias: str
    settings: ModelConfig
    context: RequestContext
    fields: Fields
    destinations: Destinations
    is_named_freely: bool = False

    @property
    def tokens(self) -> int:
        return self.context.decided.tokens

    @property
    def path(self) -> str:
        return self.context.asked.endpoint.target.path

    @property
    def who(self) -> str:
        return self.context.asked.who

    @property
    def has_choices(self) -> bool:
        return self.context.asked.endpoint.target.choices is not None

    @property
    def has_json(self) -> bool:
        """Whether a whole answer can be nothing else."""
        return self.context.asked.endpoint.target.answers in OF_JSON

    @property
    def wants_stream(self) -> bool:
        stream = self.fields.get("stream")
        if stream is not None and bytes(stream) == _TRUE:
            return True
        of_speech = self.fields.get("stream_format")
        return of_speech is not None and bytes(of_speech) == _EVENTS

    @property
    def names_are_the_clients(self) -> bool:
        """Whether what an upstream does not find may be the client's own word.

        Files, conversations and answers of before have names that only their client knows.
        """
        return self.is_named_freely or self.context.asked.reading().refers

    async def in_messages(self) -> MessagesBody:
        """In Anthropic's words, made once for all that are asked.

        Raises: Refusal for what they do not have, which names the field, or if it cannot be made
        now.
        """
        translation = self.context.translation
        if translation is None or self.context.asked.endpoint.target is not CHAT:
            raise not_in_messages(self.path, "there is no such endpoint")
        return await translation.body(self.fields)

    async def speakable(self, candidates: list[RoutingCandidate]) -> list[RoutingCandidate]:
        """Those in whose dialect it can be said. Raises: Refusal if there is none."""
        others = [each for each in candidates if not each.upstream.config.is_anthropic]
        if len(others) == len(candidates):
            return candidates
        try:
            await self.in_messages()
        except Refusal:
            if not others:
                raise
            return others
        return candidates

    def allowed(self, candidates: list[RoutingCandidate]) -> list[RoutingCandidate]:
        """Those of them that may see it. Raises: Refusal if there is none."""
        if not self.destinations.is_bound:
            return candidates
        allowed = [each for each in candidates if self.destinations.allows(each.upstream.name)]
        if candidates and not allowed:
            raise kept_here()
        return allowed


def kept_here() -> Refusal:
    said = "no upstream that may see personal data answers for this model"
    return Refusal(503, said, code="private")


async def opened(
    candidate: RoutingCandidate,
    request: RoutedRequest,
    headers: Headers,
    *,
    within_s: float | None = None,
    fresh: bool = False,
) -> Reply:
    """The upstream's reply, its head there.

    Raises: UpstreamError; Refusal for an upstream that may not see the request, or in whose dialect
    it cannot be said.
    """
    origin = _origin_for(candidate, request)
    is_anthropic = candidate.upstream.config.is_anthropic
    body, kind = await _body_for(candidate, request)
    return await origin.ask(
        "POST",
        MESSAGES.path if is_anthropic else request.path,
        body,
        [kind, *headers],
        model=candidate.model,
        within_s=within_s,
        fresh=fresh,
        translation=MessagesAnswer() if is_anthropic else None,
    )


def _origin_for(candidate: RoutingCandidate, request: RoutedRequest) -> Origin:
    """Raises: Refusal for an upstream that may not see the request."""
    upstream = candidate.upstream
    if not request.destinations.allows(upstream.name):
        raise kept_here()
    return upstream.origin


async def opened_beside(
    candidate: RoutingCandidate,
    request: RoutedRequest,
    path: str,
    fields: Fields,
    *,
    within_s: float,
) -> Reply:
    """The reply to a question about a request, at a path beside OpenAI's API.

    Raises: UpstreamError; Refusal for an upstream that may not see the request.
    """
    origin = _origin_for(candidate, request)
    body = msgspec.json.encode(fields)
    return await origin.ask(
        "POST",
        path,
        body,
        [JSON],
        model=candidate.model,
        within_s=within_s,
    )


async def _body_for(candidate: RoutingCandidate, request: RoutedRequest) -> tuple[bytes, Header]:
    """The body, and what it is called. Raises: Refusal."""
    config = candidate.upstream.config
    if config.is_anthropic:
        found = await request.in_messages()
        body = found.encoded(
            candidate.model,
            has_effort=config.effort,
            is_cached=config.prompt_cache,
            unsaid_tokens=request.settings.unsaid_answer_tokens,
        )
        return body, JSON
    fields = fields_for(candidate, request.fields)
    asked = request.context.asked
    if not asked.endpoint.files:
        return msgspec.json.encode(fields), JSON
    form = written_form(fields, asked.files)
    return form.body, (b"Content-Type", form.content_type)


async def unsent_to(config: UpstreamConfig, request: RoutedRequest) -> tuple[str, ...]:
    """Fields of a body that an upstream does not know, as the file says: clients are told.

    Raises: Refusal for what cannot be said in its dialect.
    """
    unknown = (await request.in_messages()).unsent if config.is_anthropic else ()
    if not config.effort and EFFORT in request.fields:
        return (*unknown, EFFORT)
    return unknown


def fields_for(candidate: RoutingCandidate, fields: Fields) -> Fields:
    """With the upstream's own name for the model."""
    body = dict(fields)
    config = candidate.upstream.config
    if not config.count_tokens:
        body.pop("stream_options", None)
    if not config.effort:
        body.pop(EFFORT, None)
    name = msgspec.json.encode(candidate.model)
    body["model"] = msgspec.Raw(name)
    return body
