"""Worked examples out of the training split: its cases whose right answer is known.

Known is what an `equals` asserts, or else what the model itself said when it passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.case_file.suite import Case, Check, PromptSource
from llmops_cli.prompt.chats import chat_of
from llmops_cli.prompt.evals.judging import filled_check
from llmops_cli.prompt.evals.outcome import EvalOutcome
from llmops_cli.prompt.optimize.candidate import Example, is_plain, last_user_text

EQUALS = "equals"
MOST_CHARS = 4000
"""Of an example: a longer one costs more than it teaches."""


def examples_of(
    source: PromptSource,
    cases: Sequence[Case],
    numbers: Sequence[int],
    outcomes: Mapping[int, EvalOutcome],
) -> dict[int, Example]:
    """By the case's number. `outcomes`: the base's, likewise."""
    found = {}
    for number in numbers:
        example = _example(source, cases[number], outcomes.get(number))
        if example is not None:
            found[number] = example
    return found


def _example(source: PromptSource, case: Case, outcome: EvalOutcome | None) -> Example | None:
    """None where no answer is known, or where text would be read as a template."""
    answer = _expected(case)
    if answer is None and outcome is not None and outcome.passed and case.checks:
        answer = outcome.answer
    if not answer:
        return None
    question = last_user_text(chat_of(source, case))
    is_short = len(question) + len(answer) <= MOST_CHARS
    if not is_short or not is_plain(question) or not is_plain(answer):
        return None
    return Example(question=question, answer=answer)


def _expected(case: Case) -> str | None:
    for check in case.checks:
        if not isinstance(check, Check) or check.kind != EQUALS:
            continue
        if check.is_negated or check.transform or case.options.transform:
            continue
        value = _value(check, case)
        if value is not None:
            return value
    return None


def _value(check: Check, case: Case) -> str | None:
    try:
        value = filled_check(check, case.variables).value
    except UsageError:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value)
