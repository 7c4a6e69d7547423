"""`llmops guard train`: labelled texts become a learnt stage, a card and a report of its worth."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from llmops_cli import __version__
from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.guard.evaluation.rates import FORM, LabelledText, read_rows
from llmops_cli.guard.learnt.fit import Example, fitted
from llmops_cli.guard.learnt.model import CARD, MODEL, Stage, candidate_of, logistic
from llmops_cli.guard.learnt.report import GuardTrainRecipe, GuardTrainReport, Trained
from llmops_cli.guard.learnt.show import card_of, train_page
from llmops_cli.guard.learnt.signals import signal_names, signals_of
from llmops_cli.guard.learnt.transfer import (
    Outcome,
    Transfer,
    foreign_logits,
    thresholds_of,
    transfer,
)
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
"""Digits of a weight: beyond them, machines may differ."""


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
    _warn_of_few(rows, recipe, progress)
    examples = examples_of(rows, progress)
    found = transfer(
        examples,
        false_alarms=recipe.false_alarms,
        seed=recipe.seed,
        progress=progress,
    )
    digest = digest_file(path)
    stage = _stage(examples, found, recipe, digest)
    report = GuardTrainReport(
        manifest=clock.manifest(recipe, {}, seed=recipe.seed, digests={"data": digest}),
        folder=str(folder.path),
        trained=_counts(rows),
        stage=stage,
        transfer=found,
        window_ms=_window_ms(examples),
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
    candidate = candidate_of(row.text)
    signals = [signals_of(window) for window in candidate.windows]
    x_WS = np.array(signals, dtype=np.float64).reshape(-1, len(signal_names()))
    return Example(row=row, candidate=candidate, x_WS=x_WS)


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
) -> Stage:
    """Fitted to all sources."""
    weights = fitted(examples)
    limits = thresholds_of(examples, foreign_logits(examples), recipe.false_alarms)
    rounded = [float(f"{weight:.{SIGNIFICANT}g}") for weight in weights.w_S]
    return Stage(
        version=__version__,
        weights=dict(zip(signal_names(), rounded, strict=True)),
        bias=float(f"{weights.bias:.{SIGNIFICANT}g}"),
        threshold=max(logistic(limits.stage), 1e-9),
        asked_from=limits.asked_from,
        beats_rules=found.outcome is Outcome.BEATS_RULES,
        data_digest=digest,
    )


def _counts(rows: Sequence[LabelledText]) -> Trained:
    attacks = sum(row.is_attack for row in rows)
    return Trained(
        attacks=attacks,
        honest=len(rows) - attacks,
        sources=len({row.source for row in rows}),
    )


def _window_ms(examples: Sequence[Example]) -> float:
    """Of the first window of some texts, the median."""
    windows = [example.candidate.windows[0] for example in examples if example.candidate.windows]
    spent_ms = []
    for window in windows[:: max(len(windows) // TIMED, 1)]:
        start = time.perf_counter()
        signals_of(window)
        spent_ms.append((time.perf_counter() - start) * 1e3)
    return round(statistics.median(spent_ms), 3) if spent_ms else 0.0


def _keep(report: GuardTrainReport, folder: RunFolder) -> None:
    write_atomic(folder.path / MODEL, to_json(report.stage))
    write_atomic(folder.path / CARD, card_of(report).encode())
    write_atomic(folder.path / PAGE, train_page([report]).encode())
    folder.write_report(report)
