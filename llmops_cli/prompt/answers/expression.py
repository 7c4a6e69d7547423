"""Expressions that must use the question's numbers, each once, as in the Game of 24."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction

from llmops_cli.core.arithmetic import NotArithmetic, evaluate
from llmops_cli.prompt.answers.form import behind_marker, marked_line

NUMBER = re.compile(r"\d+(?:\.\d+)?")
CANDIDATE = re.compile(r"[\d(][\d\s.+\-*/()]*[\d)]")
SIGNS = str.maketrans({"\u00d7": "*", "\u00f7": "/", "\u2212": "-", "\u2013": "-", "x": "*"})
"""Signs of multiplication, division and subtraction as models write them."""


class ExpressionForm:
    """Strict: the line is an expression, with or without `= value`. Lenient: the last one."""

    def strict(self, text: str) -> str | None:
        line = marked_line(text)
        return None if line is None else _expression(line)

    def lenient(self, text: str) -> str | None:
        for place in (behind_marker(text), text):
            for found in reversed(CANDIDATE.findall(place.translate(SIGNS))):
                expression = _expression(found)
                if expression is not None and NUMBER.fullmatch(expression) is None:
                    return expression
        return None

    def is_right(self, answer: str, *, question: str, expected: str) -> bool:
        used = Counter(NUMBER.findall(answer))
        return used == Counter(NUMBER.findall(question)) and _value(answer) == _value(expected)


def _expression(text: str) -> str | None:
    left = text.translate(SIGNS).partition("=")[0].strip()
    return left if _value(left) is not None else None


def _value(text: str) -> Fraction | None:
    try:
        return evaluate(text.translate(SIGNS))
    except NotArithmetic:
        return None
