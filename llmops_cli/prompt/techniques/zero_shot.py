"""The question alone."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_cli.prompt.answers.form import MARKER, read_answer
from llmops_cli.prompt.techniques.asking import asked
from llmops_cli.prompt.techniques.technique import Ask, Example, Solution, TechniqueSettings

ALONE = f"Write one line: `{MARKER} ...`, without any steps."


class ZeroShot:
    """One call."""

    def __init__(self, settings: TechniqueSettings) -> None:
        self._settings = settings

    async def prepare(self, ask: Ask) -> Sequence[Example]:
        return ()

    async def solve(self, question: str, ask: Ask) -> Solution:
        said = await ask(asked(self._settings, question, instruction=ALONE))
        return Solution(reading=read_answer(self._settings.form, said.text), text=said.text)
