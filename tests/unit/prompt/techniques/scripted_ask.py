"""A model in a function: what techniques ask, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from llmops_cli.prompt.answers.table import answer_form
from llmops_cli.prompt.technique_run.plan import QUESTION_ALONE
from llmops_cli.prompt.techniques.table import technique_maker
from llmops_cli.prompt.techniques.technique import Said, Solution, Spent, TechniqueSettings


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `prompt`: all that is said, in one text; `last`: its last message."""

    prompt: str
    last: str
    turns: int
    temperature: float | None
    repeat: int
    is_evaluator: bool


class ScriptedAsk:
    """Answers by a function; after `most` calls there are no more."""

    def __init__(self, script: Callable[[Asked], str | Said], *, most: int = 10_000) -> None:
        self._script = script
        self._most = most
        self.calls: list[Asked] = []

    async def __call__(
        self,
        messages: Sequence[dict[str, Any]],
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
        repeat: int = 0,
        as_evaluator: bool = False,
    ) -> Said:
        if len(self.calls) >= self._most:
            raise Spent
        asked = Asked(
            prompt="\n".join(str(message["content"]) for message in messages),
            last=str(messages[-1]["content"]),
            turns=len(messages),
            temperature=temperature,
            repeat=repeat,
            is_evaluator=as_evaluator,
        )
        self.calls.append(asked)
        await asyncio.sleep(0)
        said = self._script(asked)
        return said if isinstance(said, Said) else Said(text=said)


def solved(
    name: str,
    question: str,
    ask: ScriptedAsk,
    *,
    form: str = "number",
    **settings: Any,
) -> Solution:
    """A question by a technique, prepared before."""
    told = TechniqueSettings(form=answer_form(form), prompt=QUESTION_ALONE, **settings)
    technique = technique_maker(name)(told)

    async def run() -> Solution:
        await technique.prepare(ask)
        return await technique.solve(question, ask)

    return asyncio.run(run())
