"""The one way in which a request's body leaves for an upstream: to those that may see it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from llmops_cli.gateway_file.model import ModelConfig
from llmops_cli.serve.context import Fields, RequestContext
from llmops_cli.serve.refusal import Headers, Refusal
from llmops_cli.serve.upstreams.candidate import RoutingCandidate
from llmops_cli.serve.upstreams.destinations import Destinations
from llmops_cli.serve.upstreams.reply import Reply

JSON_BODY = (b"Content-Type", b"application/json")
_TRUE = b"true"


class RoutedRequest(NamedTuple):
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
    def has_choices(self) -> bool:
        return self.context.asked.endpoint.target.choices is not None

    @property
    def wants_stream(self) -> bool:
        stream = self.fields.get("stream")
        return stream is not None and bytes(stream) == _TRUE

    @property
    def names_are_the_clients(self) -> bool:
        """Whether what an upstream does not find may be the client's own word."""
        return self.is_named_freely or "previous_response_id" in self.fields

    def allowed(self, candidates: list[RoutingCandidate]) -> list[RoutingCandidate]:
        """Those of them that may see it. Raises: Refusal if there is none."""
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

    Raises: UpstreamError; Refusal for an upstream that may not see the request.
    """
    upstream = candidate.upstream
    if not request.destinations.allows(upstream.name):
        raise kept_here()
    body = body_for(candidate, request.fields)
    return await upstream.origin.ask(
        "POST",
        request.path,
        body,
        headers,
        model=candidate.model,
        within_s=within_s,
        fresh=fresh,
    )


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
    upstream = candidate.upstream
    if not request.destinations.allows(upstream.name):
        raise kept_here()
    body = msgspec.json.encode(fields)
    return await upstream.origin.ask("POST", path, body, [JSON_BODY], within_s=within_s)


def body_for(candidate: RoutingCandidate, fields: Fields) -> bytes:
    """The body, with the upstream's own name for the model."""
    body = dict(fields)
    if not candidate.upstream.config.count_tokens:
        body.pop("stream_options", None)
    name = msgspec.json.encode(candidate.model)
    body["model"] = msgspec.Raw(name)
    return msgspec.json.encode(body)
