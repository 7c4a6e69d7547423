"""`llmops guard train`: labelled texts become a learnt stage, a card and a report of its worth."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from llmops_cli import __version__
from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.guard.automata import without_surrogates
from llmops_cli.guard.check import Guard
from llmops_cli.guard.detectors import ORDERS
from llmops_cli.guard.evaluation.rates import FORM, LabelledText, read_rows
from llmops_cli.guard.injection import scan
from llmops_cli.guard.learnt.features import windows_of
from llmops_cli.guard.learnt.fit import Example, fitted, need_libraries
from llmops_cli.guard.learnt.model import (
    CARD,
    MODEL,
    NEVER,
    WEIGHTS,
    LearntStage,
    Stage,
    Weights,
    weights_file,
)
from llmops_cli.guard.learnt.report import GuardTrainRecipe, GuardTrainReport, Trained
from llmops_cli.guard.learnt.show import card_of, train_page
from llmops_cli.guard.learnt.transfer import (
    Outcome,
    Transfer,
    foreign_logits,
    thresholds_of,
    transfer,
)
from llmops_cli.guard.models import rules_alone
from llmops_cli.guard.policy import DEFAULT
from llmops_cli.runtime.digests import digest_file
from llmops_cli.runtime.files import to_json, write_atomic
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.runs import RunFolder

READING = "texts read"
TOLD_EVERY = 50
PAGE = "report.html"
TIMED = 50
"""Texts."""
SIGNIFICANT = 6
"""Digits of a logit: beyond them, machines may differ."""
RULES = Guard(rules_alone(DEFAULT))


def train_stage(
    recipe: GuardTrainRecipe,
    folder: RunFolder,
    *,
    progress: Progress,
) -> GuardTrainReport:
    """The stage's report; stage, card, report and page lie in the folder.

    Raises: UsageError for bad rows, or rows of one label or one source.
    """
    clock = RunClock()
    path = Path(recipe.data)
    rows = list(read_rows(path))
    _refuse_one_label(rows, path)
    need_libraries()
    _warn_of_few(rows, recipe, progress)
    examples = examples_of(rows, progress)
    found = transfer(
        examples,
        false_alarms=recipe.false_alarms,
        seed=recipe.seed,
        progress=progress,
    )
    digest = digest_file(path)
    stage, weights = _stage(examples, found, recipe, digest)
    if not any(weights.squares_F):
        raise UsageError(f"{path}: no word stands in two of its texts", hint="give more texts")
    write_atomic(folder.path / MODEL, to_json(stage))
    write_atomic(folder.path / WEIGHTS, weights_file(weights))
    report = GuardTrainReport(
        manifest=clock.manifest(recipe, {}, seed=recipe.seed, digests={"data": digest}),
        folder=str(folder.path),
        trained=_counts(rows),
        stage=stage,
        transfer=found,
        window_ms=_window_ms(LearntStage(folder.path), rows),
    )
    _keep(report, folder)
    return report


def examples_of(rows: Sequence[LabelledText], progress: Progress) -> list[Example]:
    """Every text as the stage sees it."""
    found = []
    for done, row in enumerate(rows):
        if done % TOLD_EVERY == 0:
            progress.update(READING, done, len(rows))
        found.append(example_of(row))
    progress.update(READING, len(rows), len(rows))
    return found


def example_of(row: LabelledText) -> Example:
    """A text without a character has no window."""
    text = without_surrogates(row.text)
    role = row.role or "user"
    decision = RULES.check_input(text, role=role)
    orders_score = sum(each.score for each in decision.findings if each.detector == ORDERS)
    found = scan(text)
    return Example(
        row=row,
        windows=tuple(window.features for window in windows_of(text)),
        rules_score=max(found.score, orders_score),
        is_decided=decision.flagged,
        is_explained=found.is_explained,
    )


def _refuse_one_label(rows: Sequence[LabelledText], path: Path) -> None:
    if not rows:
        raise UsageError(f"{path} has no rows", hint=FORM)
    labels = {row.is_attack for row in rows}
    if len(labels) == 1:
        missing = "honest texts" if labels == {True} else "attacks"
        raise UsageError(f"{path} has no {missing}", hint="both labels are needed")


def _warn_of_few(
    rows: Sequence[LabelledText],
    recipe: GuardTrainRecipe,
    progress: Progress,
) -> None:
    honest = sum(not row.is_attack for row in rows)
    needed = math.ceil(1 / recipe.false_alarms)
    if honest < needed:
        progress.warn(
            f"warning: {honest} honest texts cannot show a share of {recipe.false_alarms:g}; "
            f"give {needed} or more"
        )


def _stage(
    examples: Sequence[Example],
    found: Transfer,
    recipe: GuardTrainRecipe,
    digest: str,
) -> tuple[Stage, Weights]:
    """Fitted to all sources."""
    weights = fitted(examples)
    pairs = list(zip(examples, foreign_logits(examples), strict=True))
    limits = thresholds_of(pairs, recipe.false_alarms)
    stage = Stage(
        version=__version__,
        bias=weights.bias,
        threshold=_rounded(min(limits.stage, NEVER)),
        beats_rules=found.outcome is Outcome.BEATS_RULES,
        data_digest=digest,
    )
    return stage, weights


def _rounded(logit: float) -> float:
    return float(f"{logit:.{SIGNIFICANT}g}")


def _counts(rows: Sequence[LabelledText]) -> Trained:
    attacks = sum(row.is_attack for row in rows)
    return Trained(
        attacks=attacks,
        honest=len(rows) - attacks,
        sources=len({row.source for row in rows}),
    )


def _window_ms(stage: LearntStage, rows: Sequence[LabelledText]) -> float:
    """Of some texts, the median."""
    spent_ms = []
    for row in rows[:: max(len(rows) // TIMED, 1)]:
        start = time.perf_counter()
        judged = stage.judge(row.text)
        spent_ms.append((time.perf_counter() - start) * 1e3 / max(judged.windows, 1))
    return round(statistics.median(spent_ms), 3) if spent_ms else 0.0


def _keep(report: GuardTrainReport, folder: RunFolder) -> None:
    write_atomic(folder.path / CARD, card_of(report).encode())
    write_atomic(folder.path / PAGE, train_page([report]).encode())
    folder.write_report(report)
