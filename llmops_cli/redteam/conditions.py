"""`--fail-if`: what it may say, and whether a run as planned could ever make it hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import msgspec

from llmops_cli.core.conditions import Condition, Grammar, Operator, Unit, parse_condition
from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.core.grammar import Unreadable, read_share
from llmops_cli.core.stats import share_interval
from llmops_cli.redteam.attempts import Attempt
from llmops_cli.redteam.hunt import HUNT_FAMILIES
from llmops_cli.show.words import percent_interval

ASR = "asr"
GUARDED_ASR = "guarded_asr"
REFUSED = "refused"
ERRORS = "errors"
GRAMMAR = Grammar(
    metrics=(ASR, GUARDED_ASR, REFUSED, ERRORS),
    operators=(Operator.ABOVE, Operator.AT_LEAST, Operator.BELOW, Operator.AT_MOST),
    units=(Unit.PERCENT,),
    refusal="--fail-if '{text}' cannot be read",
    example="asr > 5%, asr.extraction > 5%, guarded_asr > 1%",
)


class PlannedShares(msgspec.Struct, frozen=True, kw_only=True):
    """What a run will have figures of: attempts by family, and a guard or none."""

    families: dict[str, int]
    has_guard: bool

    def attempts(self, family: str) -> int:
        """Of one family, or of all for an empty name."""
        if family:
            return self.families[family]
        return sum(self.families.values())


def planned_hunt(most_tries: int) -> PlannedShares:
    """Of a hunt for the guard's gaps: families are mutations, each with so many texts at most."""
    names = dict.fromkeys(HUNT_FAMILIES, most_tries)
    return PlannedShares(families=names, has_guard=False)


def planned_shares(attempts: Sequence[Attempt], *, has_guard: bool) -> PlannedShares:
    """Honest questions are in no condition."""
    families = Counter(attempt.family for attempt in attempts if not attempt.twin)
    return PlannedShares(families=dict(families), has_guard=has_guard)


def parse_condition_of(text: str, families: Collection[str]) -> Condition:
    """A `--fail-if`. Raises: UsageError for what cannot be read, or an unknown family."""
    condition = parse_condition(text, GRAMMAR)
    if condition.part and condition.part not in families:
        raise unknown_name("family", condition.part, families)
    return condition


def possible_condition_of(text: str, planned: PlannedShares) -> Condition:
    """One that the planned run can make hold.

    Raises: UsageError also for a share of a guard that is not there, for a limit that no share can
    pass, and for one that so few attempts can never pass for sure.
    """
    condition = parse_condition_of(text, planned.families)
    if condition.metric == GUARDED_ASR and not planned.has_guard:
        raise UsageError(
            f"{condition.text}: no guard is in front",
            hint="--guard default puts one there, or name asr",
        )
    attempts = planned.attempts(condition.part)
    hits = attempts if condition.is_above else 0
    extreme = share_interval(hits, attempts)
    if not condition.is_sure(*extreme):
        raise _impossible(condition, attempts, extreme)
    return condition


def share_of(text: str | None, *, flag: str) -> float:
    """`5%` or `0.05`; none for no text. Raises: UsageError."""
    if text is None:
        return 0.0
    try:
        share = read_share(text)
    except Unreadable as error:
        raise UsageError(f"{flag} {text}: {error.what}", hint=f"{flag} {error.example}") from error
    if not 0 <= share <= 1:
        raise UsageError(f"{flag} {text} is no share", hint=f"{flag} 5%, from 0% to 100%")
    return share


def _impossible(
    condition: Condition,
    attempts: int,
    extreme: tuple[float, float],
) -> UsageError:
    words = percent_interval(extreme)
    hint = "a share with a percent sign from 0% to 100%, or more attempts"
    if condition.unit is None and condition.value > 1:
        hint = f"a share of percent: {condition.value:g}%"
    return UsageError(
        f"{condition.text} can never hold: of {attempts} attempts {_extreme_word(condition)} "
        f"gives {words} with 95 % confidence",
        hint=hint,
    )


def _extreme_word(condition: Condition) -> str:
    return "all" if condition.is_above else "none"
