"""Letters of choices: A, (B), c."""

from __future__ import annotations

import re

from llmops_cli.prompt.answers.form import behind_marker, marked_line

ONE_LETTER = re.compile(r"\(?([A-Ja-j])[).]?")
IN_BRACKETS = re.compile(r"\(([A-Ja-j])\)")
ALONE = re.compile(r"\b([A-J])\b(?!')")


class LetterForm:
    """Strict: the line is one letter. Lenient: the last in brackets, or that stands alone."""

    def strict(self, text: str) -> str | None:
        line = marked_line(text)
        found = None if line is None else ONE_LETTER.fullmatch(line)
        return None if found is None else found[1].upper()

    def lenient(self, text: str) -> str | None:
        behind = behind_marker(text).strip()
        if behind != text.strip():
            first = ONE_LETTER.match(behind)
            if first is not None and not behind[first.end() : first.end() + 1].isalpha():
                return first[1].upper()
        for pattern in (IN_BRACKETS, ALONE):
            letters = pattern.findall(text)
            if letters:
                return str(letters[-1]).upper()
        return None

    def is_right(self, answer: str, *, question: str, expected: str) -> bool:
        wanted = ONE_LETTER.fullmatch(expected.strip())
        return wanted is not None and answer == wanted[1].upper()
