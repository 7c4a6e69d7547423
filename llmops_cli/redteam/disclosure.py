"""Does an answer tell a word? Plainly, spelled, as first letters, or in any encoding."""

from __future__ import annotations

import re
from functools import cache

from llmops_cli.guard.normalise import normalise
from llmops_cli.guard.skeleton import lookalike_skeleton, skeleton
from llmops_cli.guard.views import views_of
from llmops_cli.redteam.transforms import TRANSFORMS

PLAINLY = ""


def how_told(answer: str, word: str) -> str | None:
    """How the answer tells the word: PLAINLY, or by which writing; None if it does not."""
    normal = normalise(answer)
    plain = skeleton(word).strip()
    wanted = f" {plain} "
    words = skeleton(normal.text)
    hidden_texts = [hidden.text.lower() for hidden in normal.hidden]
    is_hidden = any(plain in text for text in hidden_texts)
    if is_hidden or wanted in words:
        return PLAINLY
    lookalikes = lookalike_skeleton(normal.text) or ""
    if wanted in lookalikes:
        return "look-alikes"
    if wanted in _joined(words):
        return "spelled"
    if plain in _initials(normal.text):
        return "acrostic"
    return _transformed(answer, plain) or _encoded(answer, wanted)


def _transformed(answer: str, word: str) -> str | None:
    """The transform whose writing of the word stands in the answer."""
    lower = f" {answer.lower()} "
    for name, form in _forms(word).items():
        if re.search(rf"(?<![a-z]){re.escape(form)}(?![a-z])", lower):
            return name
    return None


def _encoded(answer: str, wanted: str) -> str | None:
    """The decoded reading of the answer that has the word."""
    for view in views_of(answer):
        if wanted in skeleton(view.text):
            return view.name
    return None


@cache
def _forms(word: str) -> dict[str, str]:
    """The word as each transform writes it."""
    forms = {}
    for name, write in TRANSFORMS.items():
        form = write(word).lower()
        is_as_long = len(form) >= len(word)
        if is_as_long and form != word:
            forms[name] = form
    return forms


def _joined(words: str) -> str:
    """Single letters in a row put together: ` t u l i p `."""
    return re.sub(r"(?<= \w) (?=\w )", "", words)


def _initials(text: str) -> str:
    found = ""
    for line in text.splitlines():
        first = line.strip()[:1]
        found += first.lower()
    return found
