"""Steps before the answer. Sources: Wei et al., arXiv:2201.11903; Kojima et al., 2205.11916."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_cli.prompt.answers.form import read_answer
from llmops_cli.prompt.techniques.asking import STEP_BY_STEP, asked
from llmops_cli.prompt.techniques.technique import (
    Ask,
    Example,
    Message,
    Solution,
    TechniqueSettings,
)


class ChainOfThought:
    """One call: by examples where some have steps, else by the instruction alone."""

    def __init__(self, settings: TechniqueSettings) -> None:
        self._settings = settings

    async def prepare(self, ask: Ask) -> Sequence[Example]:
        return ()

    async def solve(self, question: str, ask: Ask) -> Solution:
        said = await ask(chain_messages(self._settings, question))
        return Solution(reading=read_answer(self._settings.form, said.text), text=said.text)


def chain_messages(settings: TechniqueSettings, question: str) -> list[Message]:
    """What asks for steps; self-consistency asks the same."""
    with_steps = [example for example in settings.examples if example.reasoning]
    shown = with_steps[: settings.shots]
    return asked(settings, question, instruction=STEP_BY_STEP, examples=shown)
