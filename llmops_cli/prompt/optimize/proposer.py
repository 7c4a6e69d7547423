"""A capable model that writes instructions; what it said is kept, so nothing is asked twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from llmops_cli.runtime.chat import BudgetSpent, ChatClient, Filtered, Unanswered, message
from llmops_cli.runtime.digests import digest_number

TEMPERATURE = 1.0
"""Proposals to the same prompt should differ."""


class Reflection(msgspec.Struct, frozen=True, kw_only=True):
    """What the proposer said; a line of the run's file. `number`: of what it was asked."""

    number: int
    text: str


class NoProposal(Exception):
    """What it was asked this time has no answer, for a reason of one line."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Proposer:
    """Of one run. `keep` writes a reflection down."""

    def __init__(
        self,
        client: ChatClient,
        known: Mapping[int, Reflection],
        keep: Callable[[Reflection], None],
    ) -> None:
        self._client = client
        self._known = dict(known)
        self._keep = keep
        self._times: Counter[str] = Counter()

    @property
    def asked(self) -> int:
        """What this run needed of it, had before or not: the same after a kill."""
        return self._times.total()

    async def say(self, prompt: str) -> str:
        """Raises: BudgetSpent, NoProposal."""
        repeat = self._times[prompt]
        number = digest_number([prompt, repeat])
        if number not in self._known:
            reflection = Reflection(number=number, text=await self._answer(prompt, repeat))
            self._keep(reflection)
            self._known[number] = reflection
        self._times[prompt] += 1
        return self._known[number].text

    async def _answer(self, prompt: str, repeat: int) -> str:
        try:
            answer = await self._client.answer(
                [message("user", prompt)], temperature=TEMPERATURE, repeat=repeat
            )
        except BudgetSpent:
            raise
        except Unanswered as failed:
            raise NoProposal(failed.kind) from failed
        except Filtered as failed:
            raise NoProposal("its server filtered it") from failed
        return answer.text
