"""When a stream has begun to say something."""

from __future__ import annotations

import re

from llmops_cli.serve.upstreams.reply import Reply

PREAMBLE_MOST = 4096
FIELDS = (
    b"content",
    b"text",
    b"reasoning_content",
    b"reasoning",
    b"refusal",
    b"delta",
    b"arguments",
    b"name",
    b"finish_reason",
)
WORDS = re.compile(rb'"(?:' + b"|".join(FIELDS) + rb')": ?"[^"]')
"""The first of these that is not empty is what a client waits for."""
ERRORS = (b'data:{"error"', b"event:error")


async def first_words(reply: Reply) -> None:
    """Until a stream says something: an event that only names the role is no token.

    Raises: UpstreamError.
    """
    while True:
        begun = reply.peek()
        if len(begun) > PREAMBLE_MOST or WORDS.search(begun) or says_error(begun):
            return
        if not await reply.more():
            return


def says_error(begun: bytes) -> bool:
    """A stream whose first event is an error, told under a status of 200."""
    head = begun[:64].replace(b" ", b"")
    return head.startswith(ERRORS)
