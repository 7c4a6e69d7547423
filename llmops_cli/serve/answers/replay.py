"""A whole answer given to a client that may have asked for a stream."""

from __future__ import annotations

import msgspec

from llmops_cli.serve.answers.admitted import EVENT_STREAM, AdmittedRequest
from llmops_cli.serve.answers.dialects.choices import spelt
from llmops_cli.serve.context import CacheUse
from llmops_cli.serve.door.respond import JSON


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
    """In the form that is asked for."""
    request.observed.status = 200
    request.observed.first_s = request.elapsed_s()
    if request.asked.streams and request.target.choices is not None:
        await _stream(request, body)
    else:
        await request.answer_whole(200, body, [], kind=JSON)
    request.observed.answered = True


async def _stream(request: AdmittedRequest, body: bytes) -> None:
    dialect = request.dialect
    form = request.target.choices
    assert form is not None
    shows_usage = request.asked.body.wants_usage or dialect.wants_usage
    await request.begin_stream(200, [EVENT_STREAM])
    for piece in spelt(msgspec.json.decode(body), form, usage=shows_usage):
        await request.say(dialect.feed(piece))
    await request.end_stream(dialect.finish())
