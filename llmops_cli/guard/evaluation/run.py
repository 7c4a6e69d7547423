"""Labelled texts through the guard: rates, every verdict, and a page."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from llmops_cli.core.progress import Progress
from llmops_cli.guard.check import Guard
from llmops_cli.guard.decision import ATTACKS, Decision
from llmops_cli.guard.evaluation.rates import (
    TOLD_EVERY,
    LabelledText,
    Verdict,
    evaluation_of,
    read_rows,
    verdict_on,
)
from llmops_cli.guard.evaluation.report import (
    ATTACK,
    HONEST,
    GuardEvalRecipe,
    GuardEvalReport,
    VerdictRow,
    WrongVerdict,
)
from llmops_cli.guard.models import stage_digests
from llmops_cli.runtime.digests import digest_file
from llmops_cli.runtime.files import write_atomic
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.runs import RunFolder

READING = "texts judged"
VERDICTS = "verdicts.jsonl"
DIGITS = 16
WRONG_SHOWN = 20
"""Of each label."""


def evaluate_data(
    recipe: GuardEvalRecipe,
    guard: Guard,
    folder: RunFolder,
    *,
    progress: Progress,
) -> GuardEvalReport:
    """The report, saved with its verdicts. Raises: UsageError for bad rows, or none."""
    clock = RunClock()
    verdicts = list(_judged(guard, read_rows(Path(recipe.data)), recipe.role, progress))
    found = evaluation_of(guard, verdicts, role=recipe.role, progress=progress)
    rows = [_row(number, verdict) for number, verdict in enumerate(verdicts, 1)]
    named = {"data": recipe.data, "policy": recipe.policy}
    files = {name: Path(place) for name, place in named.items() if place is not None}
    digests = {name: digest_file(path) for name, path in files.items() if path.is_file()}
    digests |= stage_digests(guard.policy)
    report = GuardEvalReport(
        manifest=clock.manifest(recipe, {}, digests=digests),
        rows=len(rows),
        overall=found.overall,
        families=found.families,
        sources=found.sources,
        us_per_kb=found.us_per_kb,
        us_per_text=found.us_per_text,
        wrong=[*_wrong(rows, ATTACK), *_wrong(rows, HONEST)],
    )
    lines = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    write_atomic(folder.path / VERDICTS, lines)
    folder.write_report(report)
    return report


def _judged(
    guard: Guard,
    rows: Iterable[LabelledText],
    role: str,
    progress: Progress,
) -> Iterator[Verdict]:
    for done, row in enumerate(rows):
        if done % TOLD_EVERY == 0:
            progress.update(READING, done)
        yield verdict_on(guard, row, role=role)


def _row(number: int, verdict: Verdict) -> VerdictRow:
    row = verdict.row
    decision = verdict.decision
    digest = hashlib.sha256(row.text.encode(errors="surrogatepass")).hexdigest()
    return VerdictRow(
        row=number,
        digest=digest[:DIGITS],
        label=ATTACK if row.is_attack else HONEST,
        family=row.family,
        source=row.source,
        action=decision.action,
        score=decision.score,
        rule=strongest_rule(decision),
    )


def strongest_rule(decision: Decision) -> str:
    """Of the evidence of an attack; empty where there is none."""
    found = [each for each in decision.findings if each.detector in ATTACKS]
    if not found:
        return ""
    strongest = max(found, key=lambda each: each.score)
    return f"{strongest.detector}, {strongest.rule}"


def _wrong(rows: Sequence[VerdictRow], label: str) -> list[WrongVerdict]:
    """Those furthest from right first."""
    found = [row for row in rows if row.label == label and not row.is_right]
    found.sort(key=lambda row: row.score, reverse=label == HONEST)
    return [
        WrongVerdict(
            row=row.row,
            label=row.label,
            family=row.family,
            source=row.source,
            score=row.score,
            rule=row.rule,
        )
        for row in found[:WRONG_SHOWN]
    ]
