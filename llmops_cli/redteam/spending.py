"""What a run has used over all its parts: requests, tokens and time, kept beside its outcomes.

A run that was killed goes on with what it had used, so that a budget is one for the whole; what an
attacker or a judge model uses is of the same budget.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import msgspec

from llmops_cli.runtime.chat import ChatClient, TokenUse
from llmops_cli.runtime.outcomes import OutcomesFile, read_outcomes

SPENT = "spent.jsonl"


class SpentLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was used since the line before. `part`: how often the run was resumed before.

    `helper_*` are an attacker's and a judge model's, the others the target's.
    """

    number: int
    part: int = 0
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    helper_requests: int = 0
    helper_input_tokens: int = 0
    helper_output_tokens: int = 0
    elapsed_s: float = 0.0


class RunSpend(msgspec.Struct, frozen=True, kw_only=True):
    """All parts of a run together: what the target used, and what helped."""

    parts: int
    used: TokenUse
    helpers: TokenUse
    elapsed_s: float

    @property
    def all_used(self) -> TokenUse:
        """What a budget is of."""
        return sum_of([self.used, self.helpers])


def read_spend(folder: Path) -> RunSpend:
    """What is written down so far."""
    found = read_outcomes(folder / SPENT, SpentLine)
    return spend_of(found.outcomes.values())


def spend_of(lines: Iterable[SpentLine]) -> RunSpend:
    """The sum of the lines."""
    written = list(lines)
    target = [_target_use(line) for line in written]
    helpers = [_helper_use(line) for line in written]
    return RunSpend(
        parts=len({line.part for line in written}),
        used=sum_of(target),
        helpers=sum_of(helpers),
        elapsed_s=sum(line.elapsed_s for line in written),
    )


def sum_of(uses: Iterable[TokenUse]) -> TokenUse:
    """All together."""
    whole = TokenUse()
    for use in uses:
        whole.requests += use.requests
        whole.input_tokens += use.input_tokens
        whole.output_tokens += use.output_tokens
    return whole


def _target_use(line: SpentLine) -> TokenUse:
    return TokenUse(
        requests=line.requests,
        input_tokens=line.input_tokens,
        output_tokens=line.output_tokens,
    )


def _helper_use(line: SpentLine) -> TokenUse:
    return TokenUse(
        requests=line.helper_requests,
        input_tokens=line.helper_input_tokens,
        output_tokens=line.helper_output_tokens,
    )


def _since(now: TokenUse, then: TokenUse) -> TokenUse:
    return TokenUse(
        requests=now.requests - then.requests,
        input_tokens=now.input_tokens - then.input_tokens,
        output_tokens=now.output_tokens - then.output_tokens,
    )


class SpendMeter:
    """Writes down what the clients used, each time that it is told to. Use as a context."""

    def __init__(self, folder: Path, client: ChatClient) -> None:
        found = read_outcomes(folder / SPENT, SpentLine)
        self.unreadable = found.unreadable
        """Lines that were damaged, whose spending is not counted."""
        self._before = spend_of(found.outcomes.values())
        self._next_number = max(found.outcomes, default=-1) + 1
        self._client = client
        self._helpers: list[ChatClient] = []
        self._file = OutcomesFile[SpentLine](folder / SPENT)
        self._written = TokenUse()
        self._written_of_helpers = TokenUse()
        self._written_at_s = time.monotonic()

    def watch(self, helper: ChatClient) -> None:
        """An attacker or a judge model, whose tokens count too."""
        self._helpers.append(helper)

    def __enter__(self) -> Self:
        self._file.__enter__()
        return self

    def __exit__(self, *reasons: object) -> None:
        try:
            self.note()
        finally:
            self._file.__exit__(*reasons)

    @property
    def used(self) -> TokenUse:
        """By this part and those before, with what helped."""
        return sum_of([self._before.all_used, self._client.used, self._used_by_helpers()])

    def note(self) -> None:
        """Writes what was used since the last time."""
        now = sum_of([self._client.used])
        now_of_helpers = self._used_by_helpers()
        now_s = time.monotonic()
        target = _since(now, self._written)
        helpers = _since(now_of_helpers, self._written_of_helpers)
        line = SpentLine(
            number=self._next_number,
            part=self._before.parts,
            requests=target.requests,
            input_tokens=target.input_tokens,
            output_tokens=target.output_tokens,
            helper_requests=helpers.requests,
            helper_input_tokens=helpers.input_tokens,
            helper_output_tokens=helpers.output_tokens,
            elapsed_s=round(now_s - self._written_at_s, 4),
        )
        self._file.append(line)
        self._next_number += 1
        self._written = now
        self._written_of_helpers = now_of_helpers
        self._written_at_s = now_s

    def _used_by_helpers(self) -> TokenUse:
        return sum_of(helper.used for helper in self._helpers)
