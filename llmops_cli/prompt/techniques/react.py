"""Thoughts, actions and what they show, until there is an answer.

The model writes `Action: tool[input]` and we write `Observation: ...`; it may act so many times.
Source: Yao et al., arXiv:2210.03629.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from llmops_cli.core.errors import UsageError, nearest_name
from llmops_cli.prompt.answers.form import MARKER, STRICTLY_MARKED, Reading, read_answer
from llmops_cli.prompt.techniques.asking import asked
from llmops_cli.prompt.techniques.technique import (
    Ask,
    Example,
    Solution,
    Spent,
    TechniqueSettings,
)
from llmops_cli.prompt.tools.tool import ToolFailed

OBSERVATION = "Observation:"
STOP = (f"\n{OBSERVATION}",)
"""The model must not write what a tool says."""
ACTION = re.compile(
    r"^[ \t]*Action(?:[ \t]*\d+)?:[ \t]*(?P<tool>[\w-]+)\[(?P<input>.*)\]", re.MULTILINE
)
OPEN_ACTION = re.compile(
    r"^[ \t]*Action(?:[ \t]*\d+)?:[ \t]*(?P<tool>[\w-]+)\[(?P<input>[^\n]*)$", re.MULTILINE
)
FINISH = "finish"
RULES = """You may use these tools:
{tools}

Write a line `Thought: ...`, then a line `Action: tool[input]`, and wait for the observation.
When you know the answer, write the last line `{marker} ...` that holds it alone."""
NUDGE = f"Write `Action: tool[input]` or `{MARKER} ...`."


class Action(NamedTuple):
    """What the model wants done."""

    tool: str
    input: str


class React:
    """A call a step, `max_steps` at most. Raises: UsageError without tools."""

    def __init__(self, settings: TechniqueSettings) -> None:
        if not settings.tools:
            raise UsageError("react needs tools", hint="--tool calculator")
        self._settings = settings
        described = "\n".join(f"- {tool.description}" for tool in settings.tools.values())
        self._rules = RULES.format(tools=described, marker=MARKER)

    async def prepare(self, ask: Ask) -> Sequence[Example]:
        return ()

    async def solve(self, question: str, ask: Ask) -> Solution:
        messages = asked(self._settings, question, instruction=self._rules)
        trace: list[str] = []
        text = ""
        for _ in range(self._settings.max_steps):
            try:
                said = await ask(messages, stop=STOP)
            except Spent:
                if not trace:
                    raise
                trace.append("no more calls")
                break
            text = said.text.partition(OBSERVATION)[0].rstrip()
            trace.append(text)
            action = _action(text)
            if action is None or action.tool.lower() == FINISH:
                break
            observed = f"{OBSERVATION} {await self._observed(action)}"
            trace.append(observed)
            messages.append({"role": "assistant", "content": text})
            messages.append({"role": "user", "content": observed})
        return Solution(reading=self._reading(text), text=text, trace=tuple(trace))

    async def _observed(self, action: Action) -> str:
        tool = self._settings.tools.get(action.tool)
        if tool is None:
            hint = nearest_name(action.tool, self._settings.tools)
            return f"there is no tool {action.tool}; {hint}"
        try:
            return await tool.use(action.input)
        except ToolFailed as failed:
            return f"it failed: {failed}"

    def _reading(self, text: str) -> Reading:
        """An action that nobody answered holds no answer, but finish[...] does."""
        action = _action(text)
        if action is None:
            return read_answer(self._settings.form, text)
        if action.tool.lower() != FINISH:
            return Reading()
        return read_answer(self._settings.form, f"{MARKER} {action.input}")


def _action(text: str) -> Action | None:
    """The first one, unless the answer stands before it."""
    found = ACTION.search(text) or OPEN_ACTION.search(text)
    if found is None:
        return None
    answer = STRICTLY_MARKED.search(text)
    if answer is not None and answer.start() < found.start():
        return None
    return Action(found["tool"], found["input"].strip())
