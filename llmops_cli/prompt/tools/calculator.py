"""Arithmetic for a model: exact, bounded, parsed and never run."""

from __future__ import annotations

from llmops_cli.core.arithmetic import NotArithmetic, evaluate, written
from llmops_cli.prompt.tools.tool import ToolFailed, ToolSettings


class Calculator:
    """Numbers with + - * / // % ** and brackets."""

    description = "calculator[EXPRESSION]: arithmetic, such as calculator[(12 + 7) * 3]"

    def __init__(self, settings: ToolSettings) -> None:
        del settings

    async def use(self, text: str) -> str:
        try:
            return written(evaluate(text.strip().strip("\"'")))
        except NotArithmetic as error:
            raise ToolFailed(f"{error}: write an expression such as (12 + 7) * 3") from error
