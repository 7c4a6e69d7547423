"""Which answers may be rated: those that a model gave and the guard let go."""

from __future__ import annotations

from llmops_cli.serve.answers.admitted import AdmittedRequest
from llmops_cli.serve.feedback.book import AskedBook, AskedRequest


class RatableAnswers:
    """Of one worker; without a book nothing is noted."""

    def __init__(self, book: AskedBook | None) -> None:
        self._book = book

    async def note(self, request: AdmittedRequest, *, is_kept: bool = False) -> None:
        """Before the answer is told, so that whoever has it can rate it.

        `is_kept`: it came from a cache, whoever was asked in vain before that.
        """
        if self._book is None:
            return
        asked = request.asked
        observed = request.observed
        noted = AskedRequest(
            key=asked.key.id,
            model=request.decided.alias,
            prompt=request.decided.prompt,
            upstream="" if is_kept else observed.upstream,
            side="" if is_kept else observed.side,
        )
        await self._book.remember(asked.id, noted)

    async def withdraw(self, request: AdmittedRequest) -> None:
        """It was no answer in the end."""
        if self._book is not None:
            await self._book.forget(request.asked.id)
