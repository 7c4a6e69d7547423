"""Several chains of thought, and the answer that most of them reach.

Source: Wang et al., arXiv:2203.11171; ends early as arXiv:2305.11860 does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from llmops_cli.prompt.answers.form import Reading, read_answer
from llmops_cli.prompt.techniques.cot import chain_messages
from llmops_cli.prompt.techniques.technique import (
    Ask,
    Example,
    Message,
    Said,
    Solution,
    Spent,
    TechniqueSettings,
)
from llmops_cli.prompt.techniques.voting import is_decided, least_more, standing_of
from llmops_cli.runtime.chat import BudgetSpent, Filtered, Unanswered

CLEAR_WEIGHT = 1.0
UNCLEAR_WEIGHT = 0.5
"""Of an answer that was cut, or could only be read leniently, where votes are weighted."""


class SelfConsistency:
    """So many calls as it takes until the vote is decided, `samples` at most."""

    def __init__(self, settings: TechniqueSettings) -> None:
        self._settings = settings

    async def prepare(self, ask: Ask) -> Sequence[Example]:
        return ()

    async def solve(self, question: str, ask: Ask) -> Solution:
        messages = chain_messages(self._settings, question)
        vote = _Vote(self._settings)
        while not vote.is_over:
            if not await vote.take(messages, ask):
                break
        return vote.solution()


class _Vote:
    """The samples of one question."""

    def __init__(self, settings: TechniqueSettings) -> None:
        self._settings = settings
        self._asked = 0
        self._failures: list[Exception] = []
        self._lenient: dict[str, float] = {}
        self._strict: dict[str, float] = {}
        self._texts: dict[str, str] = {}
        self._last = ""

    @property
    def is_over(self) -> bool:
        settings = self._settings
        return is_decided(
            standing_of(self._lenient),
            settings.samples - self._asked,
            rule=settings.stop_rule,
            confidence=settings.confidence,
        )

    async def take(self, messages: list[Message], ask: Ask) -> bool:
        """As many samples as cannot be in vain, at once; False where no more may be asked."""
        settings = self._settings
        more = least_more(
            standing_of(self._lenient),
            settings.samples - self._asked,
            rule=settings.stop_rule,
            confidence=settings.confidence,
        )
        numbers = range(self._asked, self._asked + more)
        self._asked += more
        samples = [
            ask(messages, temperature=settings.sampling_temperature, repeat=number)
            for number in numbers
        ]
        may_go_on = True
        for found in await asyncio.gather(*samples, return_exceptions=True):
            may_go_on = self._count(found) and may_go_on
        return may_go_on

    def _count(self, found: Said | BaseException) -> bool:
        """False for a sample that was not asked, because nothing more may be."""
        if isinstance(found, Spent):
            return False
        if isinstance(found, BudgetSpent) or not isinstance(found, Said | Unanswered | Filtered):
            raise found
        if not isinstance(found, Said):
            self._failures.append(found)
            return True
        self._last = found.text
        reading = read_answer(self._settings.form, found.text)
        weight = self._weight(found, reading)
        if reading.lenient is not None:
            self._lenient[reading.lenient] = self._lenient.get(reading.lenient, 0.0) + weight
            self._texts.setdefault(reading.lenient, found.text)
        if reading.strict is not None:
            self._strict[reading.strict] = self._strict.get(reading.strict, 0.0) + weight
        return True

    def _weight(self, said: Said, reading: Reading) -> float:
        if self._settings.weights == "plain":
            return CLEAR_WEIGHT
        is_clear = reading.strict is not None and not said.is_cut
        return CLEAR_WEIGHT if is_clear else UNCLEAR_WEIGHT

    def solution(self) -> Solution:
        """Raises: what the samples failed by, where all did; Spent where none was asked."""
        if self._failures and len(self._failures) == self._asked:
            raise self._failures[0]
        if not self._last and not self._lenient:
            raise Spent
        lenient = standing_of(self._lenient).leader
        strict = standing_of(self._strict).leader
        votes = sorted(self._lenient.items(), key=lambda vote: -vote[1])
        return Solution(
            reading=Reading(strict=strict, lenient=lenient),
            text=self._texts.get(lenient or "", self._last),
            trace=tuple(f"{weight:g} for {answer}" for answer, weight in votes),
        )
