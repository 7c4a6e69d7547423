"""A whole answer given to a client that may have asked for a stream."""

from __future__ import annotations

from llmops_cli.serve.answers.admitted import EVENT_STREAM, AdmittedRequest
from llmops_cli.serve.answers.dialects.choices import OddAnswer
from llmops_cli.serve.context import CacheUse
from llmops_cli.serve.door.respond import JSON
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.upstreams.errors import UpstreamError


async def replay(
    request: AdmittedRequest,
    body: bytes,
    use: CacheUse,
) -> None:
    """An answer of before, which costs nothing."""
    request.observed.cache = use
    request.decided.headers.append((b"x-llmops-cache", use.encode()))
    await give(request, body)


async def give(request: AdmittedRequest, body: bytes) -> None:
    """In the form that is asked for. Raises: Refusal for a body that is no answer."""
    request.observed.status = 200
    request.observed.first_s = request.elapsed_s()
    if request.asked.streams and request.target.choices is not None:
        await _stream(request, body)
    else:
        await request.answer_whole(200, body, [], kind=JSON)
    request.observed.answered = True


async def _stream(request: AdmittedRequest, body: bytes) -> None:
    """Raises: Refusal."""
    try:
        pieces = _pieces(request, body)
    except (*OddAnswer, UpstreamError):
        said = "the upstream's answer has another form"
        raise Refusal(502, said, code="upstream_error") from None
    await request.begin_stream(200, [EVENT_STREAM])
    for piece in pieces:
        await request.say(piece)
    await request.end_stream(b"")


def _pieces(request: AdmittedRequest, body: bytes) -> list[bytes]:
    """All of them, before the first is sent. Raises: one of OddAnswer; UpstreamError."""
    dialect = request.dialect
    form = request.target.choices
    assert form is not None
    shows_usage = request.asked.body.wants_usage or dialect.wants_usage
    return list(dialect.spell(body, form, usage=shows_usage))
