"""Marks with which chat templates begin and end messages, where variables of a prompt make them.

Looked for by RE2, in time that grows with the text alone: megabytes of half marks held the loop.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

from llmops_cli.prompt_file.template import fill
from llmops_cli.serve.prompts.filled import FilledPrompt

MARKS = (
    r"<\|[ \t]{0,4}[^|<>\s]{1,40}[ \t]{0,4}\|>"  # ChatML, Llama 3, Phi, Command R
    r"|<\|turn>|<turn\|>|<[ \t]{0,4}(?:start|end)_of_(?:turn|utterance)[ \t]{0,4}>"  # Gemma
    "|<\uff5c[^\uff5c]{1,40}\uff5c>"  # DeepSeek
    r"|\[\|[ \t]{0,4}[^|\[\]\s]{1,40}[ \t]{0,4}\|\]"  # EXAONE
    r"|</?s>|<</?SYS>>"  # Llama 2
    r"|\[/?(?:INST|SYSTEM|SYSTEM_PROMPT|TOOL_RESULTS|TOOL_CALLS|TOOL_CONTENT|AVAILABLE_TOOLS"
    r"|MODEL_SETTINGS)\]"  # Mistral
    r"|<[be]os(?:_token)?>|<(?:extra_id|special|reserved)_\d{1,5}>"  # Nemotron
)
APART = "\n\n"
"""In the place of a value: no mark goes on over it."""


def mark_in(text: str) -> str | None:
    found = _marks().search(text)
    return None if found is None else str(found[0])


def mark_made(filled: FilledPrompt) -> str | None:
    """One that stands in the filled messages more often than in the prompt's file.

    Variables make it together, or with the text around them.
    """
    prompt = filled.prompt
    own = {**prompt.variables, **dict.fromkeys(filled.values, APART)}
    for message, said in zip(prompt.messages, filled.messages(), strict=True):
        more = _marks_in(said["content"]) - _marks_in(fill(message.content, own))
        if more:
            return next(iter(more))
    return None


def _marks_in(text: str) -> Counter[str]:
    return Counter(match[0] for match in _marks().finditer(text))


@cache
def _marks() -> Any:  # Any: RE2 is untyped
    """Made with the first prompt that is asked for: a gateway without them has no use for it."""
    import re2

    from llmops_cli.guard.automata import text_options

    options = text_options()
    options.case_sensitive = False
    return re2.compile(MARKS, options)
