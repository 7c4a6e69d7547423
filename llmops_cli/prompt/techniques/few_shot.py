"""Questions with their answers before the question. Source: Brown et al., arXiv:2005.14165."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.answers.form import read_answer
from llmops_cli.prompt.techniques.asking import asked
from llmops_cli.prompt.techniques.technique import Ask, Example, Solution, TechniqueSettings
from llmops_cli.prompt.techniques.zero_shot import ALONE


class FewShot:
    """One call. Raises: UsageError without examples."""

    def __init__(self, settings: TechniqueSettings) -> None:
        if not settings.examples:
            raise UsageError("few-shot needs examples", hint="--examples FILE")
        self._settings = settings
        shown = settings.examples[: settings.shots]
        self._examples = [msgspec.structs.replace(each, reasoning="") for each in shown]

    async def prepare(self, ask: Ask) -> Sequence[Example]:
        return ()

    async def solve(self, question: str, ask: Ask) -> Solution:
        messages = asked(self._settings, question, instruction=ALONE, examples=self._examples)
        said = await ask(messages)
        return Solution(reading=read_answer(self._settings.form, said.text), text=said.text)
