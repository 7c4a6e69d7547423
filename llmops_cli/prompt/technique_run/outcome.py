"""What came of one question by one technique: answered, read, and judged."""

from __future__ import annotations

import msgspec

from llmops_cli.prompt.answers.form import AnswerForm, Reading
from llmops_cli.prompt.technique_run.asker import QuestionAsker, Usage
from llmops_cli.prompt.technique_run.cases import Case
from llmops_cli.prompt.techniques.technique import Solution, Spent, Technique
from llmops_cli.runtime.chat import BudgetSpent, Filtered, Unanswered

OUT_OF_CALLS = "no more calls for this question"
FILTERED = "filtered"


class Task(msgspec.Struct, frozen=True):
    """A question by a technique; `number` over all of them."""

    number: int
    technique: str
    case: Case


class QuestionOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`strict`, `lenient`: whether that reading is right; None where no answer is known.

    `error`: why there is no answer; it is wrong then.
    """

    number: int
    technique: str
    case: int
    reading: Reading = Reading()
    text: str = ""
    trace: tuple[str, ...] = ()
    strict: bool | None = None
    lenient: bool | None = None
    usage: Usage
    error: str = ""


async def outcome_of(
    task: Task,
    technique: Technique,
    asker: QuestionAsker,
    form: AnswerForm,
) -> QuestionOutcome:
    """Asks, reads and judges. Raises: BudgetSpent for one that the run's budget did not reach."""
    try:
        solution = await technique.solve(task.case.question, asker)
    except BudgetSpent:
        raise
    except Spent:
        return _failed(task, asker, OUT_OF_CALLS)
    except Unanswered as failed:
        return _failed(task, asker, failed.kind)
    except Filtered:
        return _failed(task, asker, FILTERED)
    return _judged(task, asker, solution, form)


def _failed(task: Task, asker: QuestionAsker, error: str) -> QuestionOutcome:
    is_right = None if task.case.answer is None else False
    return QuestionOutcome(
        number=task.number,
        technique=task.technique,
        case=task.case.number,
        strict=is_right,
        lenient=is_right,
        usage=asker.usage,
        error=error,
    )


def _judged(
    task: Task,
    asker: QuestionAsker,
    solution: Solution,
    form: AnswerForm,
) -> QuestionOutcome:
    reading = solution.reading
    return QuestionOutcome(
        number=task.number,
        technique=task.technique,
        case=task.case.number,
        reading=reading,
        text=solution.text,
        trace=solution.trace,
        strict=_is_right(form, task.case, reading.strict),
        lenient=_is_right(form, task.case, reading.lenient),
        usage=asker.usage,
    )


def _is_right(form: AnswerForm, case: Case, answer: str | None) -> bool | None:
    """None where nobody knows the answer; what could not be read is wrong."""
    if case.answer is None:
        return None
    if answer is None:
        return False
    return form.is_right(answer, question=case.question, expected=case.answer)
