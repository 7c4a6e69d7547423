"""What techniques share: a question's messages, with instruction and examples around it."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_cli.prompt.answers.form import INSTRUCTION, MARKER
from llmops_cli.prompt.techniques.technique import Example, Message, TechniqueSettings

STEP_BY_STEP = f"Think step by step. {INSTRUCTION}"
"""After Kojima et al., arXiv:2205.11916."""
QUESTION = "question"


def asked(
    settings: TechniqueSettings,
    question: str,
    *,
    instruction: str = "",
    examples: Sequence[Example] = (),
) -> list[Message]:
    """The prompt's messages with the question in it, and examples as turns before the last one."""
    messages = settings.prompt.filled({**settings.values, QUESTION: question})
    shown: list[Message] = []
    for example in examples:
        shown_question = settings.prompt.filled({**settings.values, QUESTION: example.question})
        shown.append(_with_instruction(shown_question[-1], instruction))
        shown.append({"role": "assistant", "content": answer_text(example)})
    last = _with_instruction(messages[-1], instruction)
    return [*messages[:-1], *shown, last]


def answer_text(example: Example) -> str:
    """As a model should write it."""
    line = f"{MARKER} {example.answer}"
    return f"{example.reasoning}\n{line}" if example.reasoning else line


def _with_instruction(message: Message, instruction: str) -> Message:
    if not instruction:
        return message
    return {**message, "content": f"{message['content']}\n\n{instruction}"}
