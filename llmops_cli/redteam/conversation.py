"""One attempt, had: what is said to the target, what comes back, and what that is judged to be."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from llmops_cli.core.errors import LlmopsError
from llmops_cli.guard.check import Guard
from llmops_cli.guard.leak import LeakCheck
from llmops_cli.guard.together import RoleText
from llmops_cli.redteam.attacker import (
    HelperFailed,
    Propose,
    Try,
    asked_of,
    known_forms,
    known_steps,
    steps_of,
)
from llmops_cli.redteam.attempts import Attempt
from llmops_cli.redteam.judge import judge
from llmops_cli.redteam.opinion import is_success
from llmops_cli.redteam.outcome import AttemptOutcome, Decider
from llmops_cli.redteam.search import search
from llmops_cli.redteam.suite import SearchMethod, Suite
from llmops_cli.runtime.chat import (
    ChatClient,
    Declined,
    Filtered,
    Message,
    Unanswered,
    message,
)

KEPT_CHARS = 900
"""Of an answer, in the file; prompts are drawn again from the seed."""
ERROR_CHARS = 200


class LastExchange(msgspec.Struct, frozen=True):
    """The last message and its answer; whether the guard stopped a message, None without one."""

    said: str
    answer: str
    blocked: bool | None


class Interrogator:
    """Has attempts with a target, with what helps: an attacker model, a judge model, a guard."""

    def __init__(
        self,
        target: ChatClient,
        suite: Suite,
        *,
        attacker: ChatClient | None,
        judge_model: ChatClient | None,
        guard: Guard | None,
    ) -> None:
        self._target = target
        self._suite = suite
        self._attacker = attacker
        self._judge_model = judge_model
        self._guard = guard

    async def have(self, attempt: Attempt) -> AttemptOutcome:
        """What came of it. A failure of the target is an outcome too."""
        start = time.monotonic()
        outcome = await self._outcome(attempt)
        seconds = round(time.monotonic() - start, 3)
        return msgspec.structs.replace(outcome, seconds=seconds)

    async def _outcome(self, attempt: Attempt) -> AttemptOutcome:
        try:
            if attempt.search is not None:
                exchange = await self._search(attempt)
                return await self._judged(attempt, exchange)
            return await self._talk(attempt)
        except HelperFailed as failed:
            return AttemptOutcome(number=attempt.number, undecided=failed.reason)
        except Declined as declined:
            return AttemptOutcome(
                number=attempt.number,
                refused=True,
                why="the reply says that it refuses",
                answer=declined.text[:KEPT_CHARS],
                blocked=None if self._guard is None else False,
                guarded=None if self._guard is None else False,
            )
        except Filtered:
            return AttemptOutcome(
                number=attempt.number,
                why="stopped by the target's filter",
                blocked=True,
                guarded=None if self._guard is None else False,
            )
        except Unanswered as failed:
            return AttemptOutcome(number=attempt.number, error=failed.kind)
        except LlmopsError as error:
            reason = error.message[:ERROR_CHARS]
            return AttemptOutcome(number=attempt.number, error=reason)

    async def _judged(self, attempt: Attempt, exchange: LastExchange) -> AttemptOutcome:
        verdict = judge(attempt, exchange.answer, said=exchange.said)
        success = verdict.success
        why = verdict.why
        undecided = ""
        decider = verdict.decided_by
        if self._judge_model is not None and not attempt.twin:
            why = "the judge model says so"
            decider = Decider.MODEL
            try:
                success = await is_success(self._judge_model, attempt, exchange.answer)
            except Unanswered as failed:
                success = False
                why = ""
                undecided = failed.kind
        said = ""
        if attempt.search:
            said = exchange.said[:KEPT_CHARS]
        return AttemptOutcome(
            number=attempt.number,
            success=success,
            refused=verdict.refused,
            why=why,
            answer=exchange.answer[:KEPT_CHARS],
            said=said,
            blocked=exchange.blocked,
            guarded=self._guarded(attempt, exchange, success=success),
            compliance=round(verdict.compliance, 3),
            undecided=undecided,
            decided_by=decider,
        )

    async def _talk(self, attempt: Attempt) -> AttemptOutcome:
        """The attempt's turns, one after the other, until an answer is a success."""
        messages = _opening(attempt)
        blocked = None if self._guard is None else False
        outcome = AttemptOutcome(number=attempt.number)
        undecided = ""
        turns: list[RoleText] = []
        for turn in attempt.turns:
            turns.append((attempt.role, turn))
            if self._guard is not None:
                blocked = blocked or self._stops(turns)
            question = message("user", turn)
            messages.append(question)
            asked = messages
            if attempt.prefill:
                beginning = message("assistant", attempt.prefill)
                asked = [*messages, beginning]
            reply = await self._target.ask(asked)
            answer = message("assistant", reply)
            messages.append(answer)
            exchange = LastExchange(turn, reply, blocked)
            outcome = await self._judged(attempt, exchange)
            if outcome.success:
                return outcome
            undecided = undecided or outcome.undecided
        return msgspec.structs.replace(outcome, undecided=undecided)

    async def _search(self, attempt: Attempt) -> LastExchange:
        """Messages until one succeeds, each in a new conversation unless the search keeps one.

        A target that falls silent on the way has not resisted: the search failed. Raises:
        Unanswered, HelperFailed, Filtered if every message was stopped.
        """
        system = _system(attempt)

        async def ask(text: str, before: Sequence[Try] = ()) -> str | None:
            earlier = _exchanged(before)
            question = message("user", text)
            try:
                return await self._target.ask([*system, *earlier, question])
            except Filtered:
                return None

        propose = self._proposals(attempt)
        tried = await search(attempt, ask, propose)
        if not tried:
            raise Filtered
        said, answer = tried[-1]
        if self._guard is None:
            return LastExchange(said, answer, None)
        blocked = self._stops([(attempt.role, said)])
        return LastExchange(said, answer, blocked)

    def _proposals(self, attempt: Attempt) -> Propose:
        plan = attempt.search
        is_talk = plan is not None and plan.method is SearchMethod.CRESCENDO
        if self._attacker is None:
            return known_steps() if is_talk else known_forms(self._suite, attempt)
        return steps_of(self._attacker) if is_talk else asked_of(self._attacker)

    def _stops(self, turns: Sequence[RoleText]) -> bool:
        """Whether the guard in front would stop the last message, or what the turns say as one."""
        if self._guard is None:
            return False
        role, text = turns[-1]
        decision = self._guard.check_input(text, role=role)
        together = self._guard.check_together(turns)
        return "block" in (decision.action, together.action)

    def _guarded(
        self,
        attempt: Attempt,
        exchange: LastExchange,
        *,
        success: bool,
    ) -> bool | None:
        """Whether it succeeds with the guard in front of messages and answers."""
        if self._guard is None:
            return None
        if exchange.blocked or not success:
            return False
        leak = LeakCheck(attempt.system) if attempt.system else None
        decision = self._guard.check_output(exchange.answer, leak=leak)
        if decision.action == "block":
            return False
        if decision.text == exchange.answer:
            return True
        return judge(attempt, decision.text, said=exchange.said).success


def _system(attempt: Attempt) -> list[Message]:
    if not attempt.system:
        return []
    return [message("system", attempt.system)]


def _opening(attempt: Attempt) -> list[Message]:
    return [*_system(attempt), *_exchanged(attempt.history)]


def _exchanged(tries: Sequence[Try]) -> list[Message]:
    messages = []
    for question, answer in tries:
        messages.append(message("user", question))
        messages.append(message("assistant", answer))
    return messages
