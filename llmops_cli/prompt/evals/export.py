"""A run of `prompt eval` for other tools: a page, CSV, JUnit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from llmops_cli.core.visible import visible, visible_line
from llmops_cli.prompt.evals.answers import AnswerRow, reason_of, verdict_word
from llmops_cli.prompt.evals.page import eval_page
from llmops_cli.prompt.evals.report import EvalReport
from llmops_cli.runtime.files import write_atomic
from llmops_cli.show.csv_text import csv_text
from llmops_cli.show.junit import Case, junit_suite

COLUMNS = (
    "case",
    "description",
    "prompt",
    "model",
    "repeat",
    "verdict",
    "score",
    "reason",
    "answer",
    "input_tokens",
    "output_tokens",
    "cost",
    "latency_ms",
    "vars",
)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_files(
    report: EvalReport,
    rows: Sequence[AnswerRow],
    folder: Path,
    *,
    junit: Path | None = None,
) -> None:
    """The page and the table beside the report, and JUnit where that was asked for."""
    page = eval_page(report, rows)
    write_atomic(folder / "report.html", page.encode("utf-8", "backslashreplace"))
    write_atomic(folder / "report.csv", eval_csv(rows).encode("utf-8", "backslashreplace"))
    if junit is not None:
        write_atomic(junit, eval_junit(rows).encode())


def eval_csv(rows: Sequence[AnswerRow]) -> str:
    """A line an answer. What a spreadsheet would take for a formula gets a quote before it."""
    lines = []
    for row in rows:
        outcome = row.outcome
        line: dict[str, object] = {
            "case": row.case + 1,
            "description": _cell(row.title),
            "prompt": _cell(row.prompt),
            "model": _cell(row.model),
            "repeat": row.repeat,
            "verdict": verdict_word(outcome),
            "score": None if outcome.score is None else round(outcome.score.score, 6),
            "reason": _cell(reason_of(outcome)),
            "answer": _cell(outcome.answer),
            "input_tokens": outcome.input_tokens,
            "output_tokens": outcome.output_tokens,
            "cost": outcome.cost,
            "latency_ms": outcome.latency_ms,
            "vars": json.dumps(row.variables, ensure_ascii=False),
        }
        lines.append(line)
    return csv_text(COLUMNS, lines)


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def eval_junit(rows: Sequence[AnswerRow]) -> str:
    """A test case an answer; one without a verdict fails too."""
    cases = []
    for row in rows:
        failure = ""
        if not row.outcome.passed:
            failure = visible_line(reason_of(row.outcome)) or "did not pass"
        repeat = f" #{row.repeat + 1}" if row.repeat else ""
        case = Case(
            group=visible_line(f"{row.prompt} / {row.model}"),
            name=visible_line(f"{row.case + 1}. {row.title}{repeat}"),
            failure=failure,
            output=visible(row.outcome.answer),
        )
        cases.append(case)
    return junit_suite("llmops prompt eval", cases)
