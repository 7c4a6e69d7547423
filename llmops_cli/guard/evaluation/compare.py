"""Two evaluations of the guard over the same texts, text by text."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.stats import share_interval
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.guard.evaluation.report import GuardEvalReport, VerdictRow
from llmops_cli.guard.evaluation.run import VERDICTS
from llmops_cli.show.paired import PairedColumn, PairedRun
from llmops_cli.show.runs import OpenedRun

RIGHT = "right"
"""The share of texts that are judged as their label says."""
ATTACKS = "attacks"
HONEST_TEXTS = "honest texts"


def paired_of(run: OpenedRun) -> PairedRun:
    """Attacks and honest texts, each text by its digest."""
    verdicts = saved_verdicts(run)
    attacks = [row for row in verdicts if row.is_attack]
    honest = [row for row in verdicts if not row.is_attack]
    named = ((ATTACKS, attacks), (HONEST_TEXTS, honest))
    columns = [_column(name, rows) for name, rows in named if rows]
    return PairedRun(
        name=run.name,
        measure=RIGHT,
        columns=tuple(columns),
        digests={_case(row): row.digest for row in verdicts},
        paired_by="texts are paired by what they say and their label",
    )


def saved_verdicts(run: OpenedRun) -> list[VerdictRow]:
    """Raises: UsageError for a folder without them, with a torn line or without some."""
    path = run.path / VERDICTS
    report: GuardEvalReport = run.report
    hint = f"the whole folder of a run, with its {VERDICTS}"
    try:
        lines = path.read_bytes().splitlines()
        rows = [msgspec.json.decode(line, type=VerdictRow) for line in lines]
    except (OSError, *UNREADABLE) as error:
        raise UsageError(f"{run.name} does not tell its texts one by one", hint=hint) from error
    if len(rows) != report.rows:
        raise UsageError(f"{run.name} tells {len(rows)} of its {report.rows} texts", hint=hint)
    return rows


def _column(name: str, rows: Sequence[VerdictRow]) -> PairedColumn:
    verdicts: dict[str, list[bool]] = {}
    for row in rows:
        verdicts.setdefault(_case(row), []).append(row.is_right)
    right = sum(row.is_right for row in rows)
    return PairedColumn(
        parts=(name,),
        shares={case: sum(each) / len(each) for case, each in verdicts.items()},
        n=len(rows),
        errors=0,
        rate=right / len(rows),
        ci95=share_interval(right, len(rows)),
    )


def _case(row: VerdictRow) -> str:
    return f"{row.label} {row.digest}"
