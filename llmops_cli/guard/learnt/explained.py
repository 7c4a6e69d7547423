"""What is left to the learnt stage of a text in which the rules have explained an attack.

A text that quotes an attack has its words, so that a stage would stop it. What stands beside the
quotation is no part of it: an attack in words of its own was silent there behind a quoted phrase.
"""

from __future__ import annotations

import re

from llmops_cli.guard.evidence import Scan, Span

SENTENCE_END = re.compile(r"[.!?][\"'”’»)]{0,3}\s|[。！？\n]")  # noqa: RUF001
SENTENCE_MOST = 400
"""Characters to each side of a phrase that are searched for its sentence's ends."""


def without_explained(text: str, found: Scan) -> str:
    """With blanks for each sentence that holds what would be an attack elsewhere.

    Other characters keep their places.
    """
    for item in found.evidence:
        if item.is_strong:
            start, end = _sentence_of(text, item.span)
            text = f"{text[:start]}{' ' * (end - start)}{text[end:]}"
    return text


def _sentence_of(text: str, span: Span) -> Span:
    start, end = span
    first = max(start - SENTENCE_MOST, 0)
    for match in SENTENCE_END.finditer(text, first, start):
        first = match.end()
    last = min(end + SENTENCE_MOST, len(text))
    following = SENTENCE_END.search(text, end, last)
    return first, last if following is None else following.end()
