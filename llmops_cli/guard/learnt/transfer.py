"""Does it transfer? Each source judged by a stage that saw all the others, against the rules alone.

Both have thresholds chosen on the honest texts of the other sources, at the same share of false
alarms: else a lower threshold would pass for a better detector.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.guard.evaluation.rates import DetectionRates, LabelledText, rates_of
from llmops_cli.guard.learnt.fit import Example, fitted, has_both, just_above
from llmops_cli.guard.learnt.model import Weights

RESAMPLES = 2_000
SOURCES_LEAST = 3
"""With attacks: of fewer, the next one says nothing."""
FOLDS = 4
"""Of sources, for thresholds."""
STAGE = "leave one source out"
LIKELIER_THAN_NOT = 0.0
"""A logit: below it nothing is flagged, however few honest texts there were to choose by."""


class Outcome(StrEnum):
    """What became of the comparison on sources that were left out."""

    BEATS_RULES = "beats_rules"
    NO_GAIN = "no_gain"
    TOO_FEW_SOURCES = "too_few_sources"


class SourceRates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one source, judged by what the others taught.

    `shipped`: the rules at their own threshold; `rules`: at the share of false alarms that the
    stage has too; `staged`: rules and stage.
    """

    shipped: DetectionRates
    rules: DetectionRates
    staged: DetectionRates


class Transfer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a stage is worth on sources that it never saw.

    `gain`: attacks caught more than by the rules alone, as a share of a source's, the mean over
    sources with attacks, with a 95 % interval over sources.
    `not_judged`: sources without which attacks or honest texts would be missing.
    """

    outcome: Outcome
    gain: float | None
    gain_ci95: tuple[float, float] | None
    overall: SourceRates
    sources: dict[str, SourceRates]
    not_judged: list[str] = []


class Verdicts(msgspec.Struct, frozen=True, kw_only=True):
    """On one text of a source that was left out."""

    row: LabelledText
    shipped: bool
    rules: bool
    staged: bool


def transfer(
    examples: Sequence[Example],
    *,
    false_alarms: float,
    seed: int,
    progress: Progress,
) -> Transfer:
    """Raises: UsageError where no source can be left out."""
    sources = sorted({example.row.source for example in examples})
    pairs = list(zip(examples, foreign_logits(examples), strict=True))
    judged: dict[str, list[Verdicts]] = {}
    not_judged = []
    for done, source in enumerate(sources):
        progress.update(STAGE, done, len(sources), source)
        held_out = [example for example in examples if example.row.source == source]
        others = [pair for pair in pairs if pair[0].row.source != source]
        if has_both([example for example, _ in others]):
            judged[source] = _judge(held_out, others, false_alarms)
        else:
            not_judged.append(source)
    progress.update(STAGE, len(sources), len(sources))
    if not judged:
        raise UsageError(
            "no source can be left out: the others lack attacks or honest texts",
            hint='give rows of two sources or more, each row with its "source"',
        )
    return _summed_up(judged, not_judged, false_alarms=false_alarms, seed=seed)


def foreign_logits(examples: Sequence[Example]) -> list[float]:
    """Of each text, by a stage that was fitted without its source.

    A threshold that is chosen on texts that the stage has seen lets through four times the false
    alarms that were asked for.
    """
    attacking = {example.row.source for example in examples if example.row.is_attack}
    sources = {example.row.source for example in examples}
    ordered = sorted(sources, key=lambda source: (source in attacking, source))
    fold_of = {source: number % FOLDS for number, source in enumerate(ordered)}
    stages = [_fitted_without(examples, fold_of, fold) for fold in range(FOLDS)]
    return [example.logit(stages[fold_of[example.row.source]]) for example in examples]


def _fitted_without(
    examples: Sequence[Example],
    fold_of: dict[str, int],
    fold: int,
) -> Weights:
    """Fitted to all where the others lack a label."""
    others = [example for example in examples if fold_of[example.row.source] != fold]
    return fitted(others if has_both(others) else examples)


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """`rules`: evidence. `stage`: a logit."""

    rules: float
    stage: float


def thresholds_of(
    pairs: Sequence[tuple[Example, float]],
    false_alarms: float,
) -> Thresholds:
    """At this share of false alarms on honest texts; what the rules flag already is of it.

    `pairs`: texts with their logits.
    """
    honest = [(example, logit) for example, logit in pairs if not example.row.is_attack]
    scores = sorted((example.rules_score for example, _ in honest), reverse=True)
    combined = sorted((combined_logit(*pair) for pair in honest), reverse=True)
    return Thresholds(
        rules=just_above(scores, false_alarms),
        stage=max(just_above(combined, false_alarms), LIKELIER_THAN_NOT),
    )


def combined_logit(example: Example, logit: float) -> float:
    """What the rules stop is flagged whatever the stage says, what they explain is not."""
    if example.is_decided:
        return float("inf")
    return float("-inf") if example.is_explained else logit


def _judge(
    held_out: Sequence[Example],
    others: Sequence[tuple[Example, float]],
    false_alarms: float,
) -> list[Verdicts]:
    """`others`: each with its logit by a stage that was fitted without its source."""
    weights = fitted([example for example, _ in others])
    limits = thresholds_of(others, false_alarms)
    found = []
    for example in held_out:
        verdicts = Verdicts(
            row=example.row,
            shipped=example.is_decided,
            rules=example.rules_score >= max(limits.rules, 1e-9),
            staged=combined_logit(example, example.logit(weights)) >= limits.stage,
        )
        found.append(verdicts)
    return found


def _summed_up(
    judged: dict[str, list[Verdicts]],
    not_judged: list[str],
    *,
    false_alarms: float,
    seed: int,
) -> Transfer:
    overall = source_rates([each for found in judged.values() for each in found])
    sources = {name: source_rates(found) for name, found in judged.items()}
    gains = [
        rates.staged.tpr - max(rates.rules.tpr, rates.shipped.tpr)
        for rates in sources.values()
        if rates.staged.tpr is not None
        and rates.rules.tpr is not None
        and rates.shipped.tpr is not None
    ]
    gain = sum(gains) / len(gains) if gains else None
    interval = _interval(gains, seed) if gains else None
    return Transfer(
        outcome=_outcome(gains, interval, overall, false_alarms),
        gain=gain,
        gain_ci95=interval,
        overall=overall,
        sources=sources,
        not_judged=not_judged,
    )


def source_rates(found: Sequence[Verdicts]) -> SourceRates:
    return SourceRates(
        shipped=rates_of([(each.row, each.shipped) for each in found]),
        rules=rates_of([(each.row, each.rules) for each in found]),
        staged=rates_of([(each.row, each.staged) for each in found]),
    )


def _interval(gains: Sequence[float], seed: int) -> tuple[float, float]:
    """Of the mean, over resampled sources."""
    source = random.Random(seed)
    means = sorted(sum(source.choices(gains, k=len(gains))) / len(gains) for _ in range(RESAMPLES))
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES)]


def _outcome(
    gains: Sequence[float],
    interval: tuple[float, float] | None,
    overall: SourceRates,
    false_alarms: float,
) -> Outcome:
    """A gain counts if its interval is above 0.

    Its false alarms may not surely (the whole interval) be more than were asked for, or than those
    of the rules.
    """
    if interval is None or len(gains) < SOURCES_LEAST:
        return Outcome.TOO_FEW_SOURCES
    alarms = overall.staged.fpr_ci95[0] if overall.staged.fpr_ci95 else 0.0
    allowed = max(false_alarms, overall.rules.fpr or 0.0)
    if interval[0] > 0 and alarms <= allowed:
        return Outcome.BEATS_RULES
    return Outcome.NO_GAIN
