"""The tokens of a prompt, told and not answered."""

from __future__ import annotations

import msgspec

from llmops_cli.serve.answers.admitted import AdmittedRequest
from llmops_cli.serve.context import MEDIUM_TOKENS
from llmops_cli.serve.door.respond import respond

COUNTED_BY = b"x-llmops-token-count"
"""The answer's header that tells how good its count is."""


async def tell_tokens(request: AdmittedRequest) -> None:
    """By the tokenizer of the upstream that would answer, or else by an estimate.

    Most tokenizers see no images: a prompt with some is an estimate, too. Raises: Refusal.
    """
    asked = request.asked
    media = len(asked.reading().media)
    dispatcher = request.snapshot.dispatcher
    fields = request.decided.fields
    count = await dispatcher.count_tokens(asked.body.model, request.context, fields)
    is_exact = count is not None and (count.has_media or not media)
    if count is None:
        tokens = asked.prompt_tokens()
    else:
        tokens = count.tokens if is_exact else count.tokens + MEDIUM_TOKENS * media
    request.observed.status = 200
    request.observed.answered = True
    told = (COUNTED_BY, b"tokenizer" if is_exact else b"estimate")
    body = msgspec.json.encode({"input_tokens": tokens})
    await respond(request.send, 200, body, [*request.decided.headers, told])
