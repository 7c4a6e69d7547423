"""`llmops guard train` on texts with categories: a model, a card and a report of its worth."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llmops_cli import __version__
from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.core.stats import share_interval
from llmops_cli.guard.learnt.fit import just_above
from llmops_cli.guard.learnt.report import GuardTrainRecipe
from llmops_cli.guard.moderation.categories import CATEGORIES
from llmops_cli.guard.moderation.features import FORM as FEATURES
from llmops_cli.guard.moderation.features import windows_of
from llmops_cli.guard.moderation.fit import (
    FITTING,
    Array,
    CategoryWeights,
    TextFeatures,
    as_onnx,
    features_of,
    fit,
    need_libraries,
    unseen_probabilities,
)
from llmops_cli.guard.moderation.model import CARD, HashedModeration, ModerationCard
from llmops_cli.guard.moderation.report import CategoryRates, ModerationTrainReport
from llmops_cli.guard.moderation.rows import FORM, ModeratedText, read_moderated
from llmops_cli.guard.moderation.show import card_of, moderation_page
from llmops_cli.guard.onnx import MODEL
from llmops_cli.runtime.digests import digest_file
from llmops_cli.runtime.files import to_json, write_atomic
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.runs import RunFolder

LEAST_TEXTS = 20
"""Of a category, and without it: fewer teach nothing that could be measured."""
LEAST_THRESHOLD = 1e-3
TIMED = 50
README = "README.md"
PAGE = "report.html"


def train_moderation(
    recipe: GuardTrainRecipe,
    folder: RunFolder,
    *,
    progress: Progress,
) -> ModerationTrainReport:
    """The model's report; model, card, report and page lie in the folder.

    Raises: UsageError for bad rows or too few, EnvironmentMissing without what fits.
    """
    clock = RunClock()
    path = Path(recipe.data)
    rows = list(read_moderated(path))
    need_libraries()
    counts = Counter(name for row in rows for name in row.categories)
    names = [name for name in CATEGORIES if _is_enough(counts[name], len(rows))]
    if not names:
        words = f"{path} has no category with {LEAST_TEXTS} texts, and as many without it"
        raise UsageError(words, hint=FORM)
    features = features_of(rows, progress)
    weights: list[CategoryWeights] = []
    found: list[CategoryRates] = []
    for done, name in enumerate(names):
        progress.update(FITTING, done, len(names))
        y_N = np.array([name in row.categories for row in rows])
        weights.append(fit(features.x_NF, y_N))
        found.append(_rates(name, features, y_N, recipe.false_alarms))
    progress.update(FITTING, len(names), len(names))
    digest = digest_file(path)
    card = ModerationCard(
        features=FEATURES,
        version=__version__,
        thresholds={rates.category: rates.threshold for rates in found},
        data_digest=digest,
    )
    write_atomic(folder.path / MODEL, as_onnx(weights))
    write_atomic(folder.path / CARD, to_json(card))
    report = ModerationTrainReport(
        manifest=clock.manifest(recipe, {}, seed=recipe.seed, digests={"data": digest}),
        folder=str(folder.path),
        texts=len(rows),
        categories=found,
        left_out={name: counts[name] for name in CATEGORIES if counts[name] and name not in names},
        window_ms=_window_ms(folder.path, rows),
    )
    write_atomic(folder.path / README, card_of(report).encode())
    write_atomic(folder.path / PAGE, moderation_page([report]).encode())
    folder.write_report(report)
    return report


def _is_enough(texts: int, rows: int) -> bool:
    return LEAST_TEXTS <= texts <= rows - LEAST_TEXTS


def _rates(
    name: str,
    features: TextFeatures,
    y_N: NDArray[np.bool_],
    false_alarms: float,
) -> CategoryRates:
    """The threshold is the least that so few texts without the category reach."""
    shares_N = unseen_probabilities(features, y_N)
    others = sorted((float(share) for share in shares_N[~y_N]), reverse=True)
    threshold = max(LEAST_THRESHOLD, min(1.0, just_above(others, false_alarms)))
    caught = int((shares_N[y_N] >= threshold).sum())
    alarms = int((shares_N[~y_N] >= threshold).sum())
    texts = int(y_N.sum())
    return CategoryRates(
        category=name,
        texts=texts,
        others=len(others),
        threshold=threshold,
        caught=caught / texts,
        caught_ci95=share_interval(caught, texts),
        alarms=alarms / len(others),
        alarms_ci95=share_interval(alarms, len(others)),
        precision=_average_precision(y_N, shares_N),
    )


def _average_precision(y_N: NDArray[np.bool_], shares_N: Array) -> float:
    from sklearn.metrics import average_precision_score

    return round(float(average_precision_score(y_N, shares_N)), 4)


def _window_ms(folder: Path, rows: Sequence[ModeratedText]) -> float:
    """A window's median time in the model as it was written, features and all."""
    model = HashedModeration(folder)
    windows = [window for row in rows[:TIMED] for window in windows_of(row.text)[:1]]
    spent_ms = []
    for window in windows:
        start = time.perf_counter()
        model(window)
        spent_ms.append((time.perf_counter() - start) * 1e3)
    return round(statistics.median(spent_ms), 3) if spent_ms else 0.0
