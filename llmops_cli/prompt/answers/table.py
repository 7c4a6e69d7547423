"""Forms of answers by name; other packages add theirs as entry points of `llmops.answers`."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from llmops_cli.core.names import load_named
from llmops_cli.prompt.answers.form import AnswerForm

ANSWERS = {
    "number": "llmops_cli.prompt.answers.number:NumberForm",
    "letter": "llmops_cli.prompt.answers.letter:LetterForm",
    "text": "llmops_cli.prompt.answers.text:TextForm",
    "expression": "llmops_cli.prompt.answers.expression:ExpressionForm",
}
"""Name -> "module:object" that makes a form."""
GROUP = "llmops.answers"


def answer_form(name: str) -> AnswerForm:
    """Raises: UsageError for a name that nobody provides."""
    make = cast("Callable[[], AnswerForm]", load_named("answer form", name, ANSWERS, GROUP))
    return make()
