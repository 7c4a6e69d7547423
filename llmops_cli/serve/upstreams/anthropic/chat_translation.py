"""A request's chat in Anthropic's words: made once for all that are asked, by a judge if large."""

from __future__ import annotations

import asyncio

from llmops_cli.gateway_file.config import JudgingConfig
from llmops_cli.serve.context import Asked, Fields
from llmops_cli.serve.judging.judging import Judging
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.upstreams.anthropic.request import UNSUPPORTED, MessagesBody

UNREAD = "stream_options"
"""What asks for a stream's tokens is added after a copy was sent, and not translated."""


class ChatTranslation:
    """Of one request, whichever models and upstreams it comes to."""

    def __init__(self, judging: Judging, asked: Asked, bounds: JudgingConfig) -> None:
        self._judging = judging
        self._asked = asked
        self._bounds = bounds
        self._turn = asyncio.Lock()
        self._fields: Fields = {}
        self._found: MessagesBody | Refusal | None = None

    async def body(self, fields: Fields) -> MessagesBody:
        """Raises: Refusal for what the dialect does not have, or if too much waits for judges."""
        read = {name: value for name, value in fields.items() if name != UNREAD}
        async with self._turn:
            if self._found is None or read != self._fields:
                self._fields = read
                self._found = await self._translated(read)
            found = self._found
        if isinstance(found, Refusal):
            raise found
        return found

    async def _translated(self, fields: Fields) -> MessagesBody | Refusal:
        """Raises: Refusal if it may be made another time."""
        try:
            return await self._judging.in_messages(self._asked, fields, self._bounds)
        except Refusal as refusal:
            if refusal.code != UNSUPPORTED:
                raise
            return refusal
