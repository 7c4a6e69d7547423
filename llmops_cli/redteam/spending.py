"""What a run has used over all its parts: requests, tokens and time, kept beside its outcomes.

A run that was killed goes on with what it had used, so that a budget is one for the whole.
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
    """What was used since the line before. `part`: how often the run was resumed before."""

    number: int
    part: int = 0
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    elapsed_s: float = 0.0


class RunSpend(msgspec.Struct, frozen=True, kw_only=True):
    """All parts of a run together."""

    parts: int
    used: TokenUse
    elapsed_s: float


def read_spend(folder: Path) -> RunSpend:
    """What is written down so far."""
    found = read_outcomes(folder / SPENT, SpentLine)
    return spend_of(found.outcomes.values())


def spend_of(lines: Iterable[SpentLine]) -> RunSpend:
    """The sum of the lines."""
    used = TokenUse()
    elapsed_s = 0.0
    parts = set()
    for line in lines:
        used.requests += line.requests
        used.input_tokens += line.input_tokens
        used.output_tokens += line.output_tokens
        elapsed_s += line.elapsed_s
        parts.add(line.part)
    return RunSpend(parts=len(parts), used=used, elapsed_s=elapsed_s)


class SpendMeter:
    """Writes down what the target's client used, each time that it is told to. Use as a context."""

    def __init__(self, folder: Path, client: ChatClient) -> None:
        found = read_outcomes(folder / SPENT, SpentLine)
        self._before = spend_of(found.outcomes.values())
        self._next_number = max(found.outcomes, default=-1) + 1
        self._client = client
        self._file = OutcomesFile[SpentLine](folder / SPENT)
        self._written = TokenUse()
        self._written_at_s = time.monotonic()

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
        """By this part and those before."""
        now = self._client.used
        before = self._before.used
        return TokenUse(
            requests=before.requests + now.requests,
            input_tokens=before.input_tokens + now.input_tokens,
            output_tokens=before.output_tokens + now.output_tokens,
        )

    def note(self) -> None:
        """Writes what was used since the last time."""
        now = self._client.used
        now_s = time.monotonic()
        line = SpentLine(
            number=self._next_number,
            part=self._before.parts,
            requests=now.requests - self._written.requests,
            input_tokens=now.input_tokens - self._written.input_tokens,
            output_tokens=now.output_tokens - self._written.output_tokens,
            elapsed_s=round(now_s - self._written_at_s, 4),
        )
        self._file.append(line)
        self._next_number += 1
        self._written = TokenUse(
            requests=now.requests,
            input_tokens=now.input_tokens,
            output_tokens=now.output_tokens,
        )
        self._written_at_s = now_s
