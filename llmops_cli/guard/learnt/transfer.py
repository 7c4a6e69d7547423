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
from llmops_cli.guard.learnt.fit import Example, Weights, asked_from, fitted, just_above

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
    stage has too; `staged`: rules and stage. `asked_share`: of its honest texts, those that the
    stage was asked about.
    """

    shipped: DetectionRates
    rules: DetectionRates
    staged: DetectionRates
    asked_share: float | None


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
    asked: bool


def transfer(
    examples: Sequence[Example],
    *,
    false_alarms: float,
    seed: int,
    progress: Progress,
) -> Transfer:
    """Raises: UsageError where no source can be left out."""
    sources = sorted({example.row.source for example in examples})
    judged: dict[str, list[Verdicts]] = {}
    not_judged = []
    for done, source in enumerate(sources):
        progress.update(STAGE, done, len(sources), source)
        others = [example for example in examples if example.row.source != source]
        held_out = [example for example in examples if example.row.source == source]
        if has_both(others):
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


def has_both(examples: Sequence[Example]) -> bool:
    """Attacks and honest texts."""
    return len({example.row.is_attack for example in examples}) > 1


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
    return [stages[fold_of[example.row.source]].logit(example) for example in examples]


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

    asked_from: float
    rules: float
    stage: float


def thresholds_of(
    examples: Sequence[Example],
    logits: Sequence[float],
    false_alarms: float,
) -> Thresholds:
    """At this share of false alarms on honest texts; what the rules flag already is of it."""
    honest = [
        (example, logit)
        for example, logit in zip(examples, logits, strict=True)
        if not example.row.is_attack
    ]
    asked = asked_from(examples)
    scores = sorted((example.candidate.rules_score for example, _ in honest), reverse=True)
    combined = sorted(
        (combined_logit(example, logit, asked) for example, logit in honest), reverse=True
    )
    return Thresholds(
        asked_from=asked,
        rules=just_above(scores, false_alarms),
        stage=max(just_above(combined, false_alarms), LIKELIER_THAN_NOT),
    )


def combined_logit(
    example: Example,
    logit: float,
    asked: float,
) -> float:
    """What the rules block is flagged whatever the stage says, what is not asked about is not."""
    if example.is_decided:
        return float("inf")
    if example.candidate.suspicion < asked:
        return float("-inf")
    return logit


def _judge(
    held_out: Sequence[Example],
    others: Sequence[Example],
    false_alarms: float,
) -> list[Verdicts]:
    weights = fitted(others)
    limits = thresholds_of(others, foreign_logits(others), false_alarms)
    found = []
    for example in held_out:
        logit = combined_logit(example, weights.logit(example), limits.asked_from)
        score = example.candidate.rules_score
        verdicts = Verdicts(
            row=example.row,
            shipped=example.is_decided,
            rules=score >= max(limits.rules, 1e-9),
            staged=example.is_decided or logit >= limits.stage,
            asked=not example.is_decided and example.candidate.suspicion >= limits.asked_from,
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
    honest = [each for each in found if not each.row.is_attack]
    asked_share = sum(each.asked for each in honest) / len(honest) if honest else None
    return SourceRates(
        shipped=rates_of([(each.row, each.shipped) for each in found]),
        rules=rates_of([(each.row, each.rules) for each in found]),
        staged=rates_of([(each.row, each.staged) for each in found]),
        asked_share=asked_share,
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

    Its false alarms are at most those that were asked for, or those of the rules.
    """
    if interval is None or len(gains) < SOURCES_LEAST:
        return Outcome.TOO_FEW_SOURCES
    alarms = overall.staged.fpr or 0.0
    allowed = max(false_alarms, overall.rules.fpr or 0.0)
    if interval[0] > 0 and alarms <= allowed:
        return Outcome.BEATS_RULES
    return Outcome.NO_GAIN
