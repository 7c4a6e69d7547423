"""An answer, what is wrong with it, and another answer, until nothing is.

Source: Self-Refine, arXiv:2303.17651: the model is its own critic, unless another one rates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from llmops_cli.prompt.answers.form import INSTRUCTION, Reading, read_answer
from llmops_cli.prompt.techniques.cot import chain_messages
from llmops_cli.prompt.techniques.technique import (
    Ask,
    Example,
    Message,
    Solution,
    Spent,
    TechniqueSettings,
)

CRITIQUE = (
    "Check the solution above step by step. If all of it is right, write CORRECT. "
    "Otherwise write WRONG and say what is wrong, without solving it again."
)
REVISE = "Solve it again with that in mind. " + INSTRUCTION
VERDICT = re.compile(r"\b(CORRECT|WRONG|INCORRECT)\b")


class Reflect:
    """One call, and two a round of doubt; `rounds` at most."""

    def __init__(self, settings: TechniqueSettings) -> None:
        self._settings = settings

    async def prepare(self, ask: Ask) -> Sequence[Example]:
        return ()

    async def solve(self, question: str, ask: Ask) -> Solution:
        messages = chain_messages(self._settings, question)
        said = await ask(messages)
        text = said.text
        trace = [_line(text, self._read(text))]
        try:
            for round_number in range(self._settings.rounds):
                better = await self._revised(messages, text, round_number, ask, trace)
                if better is None:
                    break
                text = better
        except Spent:
            trace.append("no more calls")
        return Solution(reading=self._read(text), text=text, trace=tuple(trace))

    async def _revised(
        self,
        messages: list[Message],
        text: str,
        round_number: int,
        ask: Ask,
        trace: list[str],
    ) -> str | None:
        """Another answer; None where the critic has nothing against this one."""
        answered = [*messages, {"role": "assistant", "content": text}]
        doubt = [*answered, {"role": "user", "content": CRITIQUE}]
        critique = await ask(doubt, repeat=round_number, as_evaluator=True)
        verdict = VERDICT.search(critique.text)
        trace.append(f"critic: {' '.join(critique.text.split())}")
        if verdict is None or verdict[1] == "CORRECT":
            return None
        again = [*doubt, {"role": "assistant", "content": critique.text}]
        again.append({"role": "user", "content": REVISE})
        said = await ask(again, repeat=round_number)
        trace.append(_line(said.text, self._read(said.text)))
        return said.text

    def _read(self, text: str) -> Reading:
        return read_answer(self._settings.form, text)


def _line(text: str, reading: Reading) -> str:
    return f"answer: {reading.lenient or ' '.join(text.split())}"
