"""What a run's folder keeps so that a killed run goes on: its key, its answers, what it spent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from llmops_cli.core.calls import pasted
from llmops_cli.core.errors import UsageError
from llmops_cli.core.prices import Prices
from llmops_cli.core.progress import Progress
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in
from llmops_cli.prompt.spending import SPENDING, Spending, spent_of
from llmops_cli.runtime.chat import BudgetSpent, Cap, Spend
from llmops_cli.runtime.files import to_json, write_atomic
from llmops_cli.runtime.outcomes import read_outcomes

ANSWERS = "answers.sqlite"
CALLS = "calls.jsonl"
OUTCOMES = "outcomes.jsonl"
RECIPE = "recipe.json"
KEY = "key.json"
NOT_SENT = frozenset(BudgetSpent(cap).kind for cap in Cap)
"""Errors of calls that a budget kept back."""


MAY_CHANGE = frozenset({"concurrency", "rate", "retries", "timeout_s", "max_calls", "max_cost"})
"""What may be said beside --resume: nothing of it decides an outcome."""


def resumed_recipe(
    folder: Path,
    given: Mapping[str, object],
    *,
    recipe: Path | None,
    output: Path | None,
) -> Path:
    """The recipe of a run that goes on. Raises: UsageError."""
    if recipe or output or not MAY_CHANGE.issuperset(given):
        raise UsageError(
            "--resume repeats the run's own recipe",
            hint="llmops prompt run --resume FOLDER, and perhaps --max-calls or --max-cost",
        )
    kept = folder / RECIPE
    if not kept.is_file():
        raise UsageError(f"{folder} holds no run of llmops prompt run")
    return kept


class RunKey(msgspec.Struct, frozen=True, kw_only=True):
    """Digests of all that decides the outcomes, and of the model's files."""

    plan: str
    model: str = ""


class SpentCall(msgspec.Struct, frozen=True, kw_only=True):
    """What a line of calls.jsonl tells of money; the rest is for people."""

    input_tokens: int = 0
    output_tokens: int = 0
    is_cached: bool = False
    error: str | None = None

    @property
    def was_sent(self) -> bool:
        return not self.is_cached and self.error not in NOT_SENT


class SpentBefore(msgspec.Struct, frozen=True, kw_only=True):
    """By all parts of a run and all its clients; retries and lost requests are in `calls`."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


def require_same(folder: Path, key: RunKey, progress: Progress) -> None:
    """Keeps the key of a new run.

    Raises: UsageError where the outcomes that the folder holds are of something else.
    """
    path = folder / KEY
    if not path.is_file():
        write_atomic(path, to_json(key))
        return
    raw = path.read_bytes()
    try:
        kept = msgspec.json.decode(raw, type=RunKey)
    except UNREADABLE:
        raise UsageError(f"{path} cannot be read: {wrong_in(raw, RunKey)}") from None
    if kept != key:
        part = "its cases, prompt or options" if kept.plan != key.plan else "the model's files"
        raise UsageError(
            f"{folder} cannot go on: {part} are others now",
            hint=f"put them back, or begin anew: --recipe {pasted(folder / RECIPE)} -o ANOTHER",
        )
    progress.say(f"goes on in {folder}")


def spent_before(folder: Path) -> SpentBefore:
    """Tokens as calls.jsonl has them, requests as the budget does; a torn line has no tokens."""
    sent = _sent_calls(folder)
    spent = spent_of(read_outcomes(folder / SPENDING, Spending).outcomes)
    return SpentBefore(
        calls=spent.requests,
        input_tokens=sum(call.input_tokens for call in sent),
        output_tokens=sum(call.output_tokens for call in sent),
    )


def recorded_spend(folder: Path, prices: Prices) -> Spend:
    """By calls.jsonl alone, which knows no retries and no request whose process was killed."""
    sent = _sent_calls(folder)
    input_tokens = sum(call.input_tokens for call in sent)
    output_tokens = sum(call.output_tokens for call in sent)
    return Spend(
        requests=len(sent),
        tokens=input_tokens + output_tokens,
        money=prices.cost(input_tokens, output_tokens),
    )


def _sent_calls(folder: Path) -> list[SpentCall]:
    path = folder / CALLS
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")
    calls = [_call(line) for line in lines if line.strip()]
    return [call for call in calls if call.was_sent]


def _call(line: bytes) -> SpentCall:
    try:
        return msgspec.json.decode(line, type=SpentCall)
    except UNREADABLE:
        return SpentCall()
