"""Published values predicted: how far off we are, and how often the bands hold the truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from llmops_cli.core.errors import LlmopsError, UsageError
from llmops_cli.plan.answers import ANSWERS, Context
from llmops_cli.plan.observed import groups_of
from llmops_cli.plan.references import (
    Answer,
    Reference,
    Unanswered,
    published_number,
    read_references,
)
from llmops_cli.plan.report import Checked, CheckedRow, CheckReport
from llmops_cli.sizing.efficiency import FITTED
from llmops_cli.sizing.figures import BAND_RATE
from llmops_cli.sizing.training_bands import TRAINED


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a row: error and half width are shares of the truth."""

    error: float
    is_covered: bool
    half_width: float
    interval_score: float


def check_references(path: Path, *, fit_sources: Sequence[str] | None) -> CheckReport:
    """Rows of `fit_sources` calibrate and are not judged.

    Raises: UsageError for a file that cannot be read, or a source that no row has.
    """
    references = read_references(path)
    if fit_sources is None:
        groups = (*FITTED, *TRAINED)
        judged = references
    else:
        fitted = [row for row in references if _is_of(row, fit_sources)]
        if fit_sources and not fitted:
            named = ", ".join(fit_sources)
            raise UsageError(f"no row of {path} has a source like '{named}'", hint="--fit SOURCE")
        groups = groups_of(fitted, is_tuned=False)
        judged = [row for row in references if not _is_of(row, fit_sources)]
    context = Context(groups=groups, is_tuned=fit_sources is None)
    rows = tuple(_row(reference, context) for reference in judged)
    return CheckReport(rows=rows, by_quantity=_by_quantity(rows))


def _is_of(row: Reference, sources: Sequence[str]) -> bool:
    return any(each.lower() in row.source.lower() for each in sources)


def _row(reference: Reference, context: Context) -> CheckedRow:
    """In the row's own unit."""
    common = {
        "quantity": reference.quantity,
        "source": reference.source,
        "published": reference.value,
    }
    answer_of = ANSWERS.get(reference.quantity)
    if answer_of is None:
        return CheckedRow(**common, missing=f"no rule for '{reference.quantity}'")
    try:
        answer = answer_of(reference, context)
    except Unanswered as error:
        return CheckedRow(**common, missing=str(error))
    except LlmopsError as error:
        return CheckedRow(**common, missing=error.message)
    size = 1.0 if isinstance(reference.value, str) else reference.unit_size
    return CheckedRow(
        **common,
        value=_in_unit(answer.value, size),
        low=_in_unit(answer.low, size),
        high=_in_unit(answer.high, size),
    )


def _in_unit(value: object, size: float) -> object:
    """Of each part of a mapping or a list."""
    if isinstance(value, Mapping):
        return {name: _in_unit(each, size) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_in_unit(each, size) for each in value]
    if isinstance(value, int | float):
        return value / size
    return value


def _by_quantity(rows: Sequence[CheckedRow]) -> dict[str, Checked]:
    found = {}
    for name in dict.fromkeys(row.quantity for row in rows):
        own = [row for row in rows if row.quantity == name]
        found[name] = _checked(own)
    return found


def _checked(rows: Sequence[CheckedRow]) -> Checked:
    scores = [score for row in rows if row.missing is None for score in _scores(row)]
    unanswered = sum(1 for row in rows if row.missing is not None)
    if not scores:
        return Checked(
            n=len(rows),
            unanswered=unanswered,
            median_error=None,
            coverage=None,
            median_half_width=None,
            interval_score=None,
        )
    return Checked(
        n=len(rows),
        unanswered=unanswered,
        median_error=_median([score.error for score in scores]),
        coverage=sum(score.is_covered for score in scores) / len(scores),
        median_half_width=_median([score.half_width for score in scores]),
        interval_score=_median([score.interval_score for score in scores]),
    )


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    count = len(ordered)
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2


def _scores(row: CheckedRow) -> Iterator[Scored]:
    """Of each number of the row that was published."""
    for published, answer in _pairs(row.published, row):
        truth = published_number(published)
        if truth:
            yield _score(truth, answer)


def _pairs(published: object, row: CheckedRow) -> Iterator[tuple[object, Answer]]:
    if isinstance(published, Mapping) and isinstance(row.value, Mapping):
        assert isinstance(row.low, Mapping)
        assert isinstance(row.high, Mapping)
        for name, value in row.value.items():
            each = Answer(value=value, low=row.low[name], high=row.high[name])
            yield published.get(name), each
    elif isinstance(published, list) and isinstance(row.value, list):
        if len(published) != len(row.value):
            return
        assert isinstance(row.low, list)
        assert isinstance(row.high, list)
        parts = zip(published, row.value, row.low, row.high, strict=True)
        for truth, value, low, high in parts:
            yield truth, Answer(value=value, low=low, high=high)
    elif isinstance(row.value, int | float):
        yield published, Answer(value=row.value, low=row.low, high=row.high)


def _score(truth: float, answer: Answer) -> Scored:
    """interval_score: width and, where it misses, by how much (Gneiting and Raftery, 2007)."""
    low = float(answer.low)
    high = float(answer.high)
    missed = max(low - truth, truth - high, 0.0)
    alpha = 1 - BAND_RATE
    return Scored(
        error=abs(float(answer.value) - truth) / abs(truth),
        is_covered=low <= truth <= high,
        half_width=(high - low) / 2 / abs(truth),
        interval_score=(high - low + 2 / alpha * missed) / abs(truth),
    )
