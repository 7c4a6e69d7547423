"""Short texts: names, words, labels."""

from __future__ import annotations

import re

from llmops_cli.core.unicode_forms import normalised
from llmops_cli.prompt.answers.form import behind_marker, marked_line

AROUND = re.compile(r"^[\s\"'`*_.,;:!?()\[\]]+|[\s\"'`*_.,;:!?()\[\]]+$")
ARTICLE = re.compile(r"^(?:the|a|an)\s+")


class TextForm:
    """Strict: the line, letter for letter. Lenient: without case, quotes, article and final dot."""

    def strict(self, text: str) -> str | None:
        return marked_line(text)

    def lenient(self, text: str) -> str | None:
        behind = behind_marker(text)
        lines = [line for line in behind.strip().split("\n") if line.strip()]
        if not lines:
            return None
        line = lines[-1] if behind is text else lines[0]
        return loose(line) or None

    def is_right(self, answer: str, *, question: str, expected: str) -> bool:
        return answer in (expected.strip(), loose(expected))


def loose(text: str) -> str:
    """One spelling of a short text."""
    composed = normalised("NFKC", text).casefold()
    plain = AROUND.sub("", " ".join(composed.split()))
    return ARTICLE.sub("", plain)
