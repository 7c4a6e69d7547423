"""Signs of a window: evidence of the rules by family, and speech acts. No words of its own.

What a text says differs from source to source; what it does to its reader differs less. Length,
capitals and marks tell sources apart, not attacks. The acts are those of guard/acts.py.
"""

from __future__ import annotations

from functools import cache

from llmops_cli.guard.act_rules import builtin_acts
from llmops_cli.guard.clauses import clause_words
from llmops_cli.guard.injection import Scan, scan
from llmops_cli.guard.normalise import normalise

FAMILIES = ("direct_hijack", "indirect", "jailbreak", "extraction", "hidden_text")
EVIDENCE_MOST = 2.0
"""Of one family: beyond it more of the same tells nothing."""
SECOND_PERSON = frozenset(
    (
        *("you", "your", "yours", "yourself", "u", "ur"),
        *("du", "dein", "dich", "sie", "tu", "vous", "ton", "usted", "tuo"),
    )
)


@cache
def signal_names() -> tuple[str, ...]:
    """In the order of `signals_of`."""
    return (
        *(f"rules.{family}" for family in FAMILIES),
        "rules.decoded",
        *(f"act.{name}" for name in builtin_acts().names),
        "acts.together",
        "second_person",
    )


def acts_in(text: str) -> frozenset[str]:
    """The speech acts of a window."""
    words = clause_words(normalise(text).text)
    return frozenset(builtin_acts().all_of(words))


def signals_of(text: str) -> list[float]:
    """One number for each of `signal_names`, none of them below 0."""
    acts = acts_in(text)
    return [
        *_of_rules(scan(text)),
        *(float(name in acts) for name in builtin_acts().names),
        _together(len(acts)),
        _second_person(text),
    ]


def _of_rules(found: Scan) -> list[float]:
    sums = dict.fromkeys(FAMILIES, 0.0)
    for item in found.evidence:
        sums[item.family] = sums.get(item.family, 0.0) + item.weight
    decoded = float(any(item.view for item in found.evidence))
    return [*(min(sums[family], EVIDENCE_MOST) for family in FAMILIES), decoded]


def _together(count: int) -> float:
    """One or two acts are what honest prompts have."""
    return max(count - 2, 0) / 4


def _second_person(text: str) -> float:
    words = text.lower().split()
    hits = sum(word.strip(".,;:!?'\"") in SECOND_PERSON for word in words)
    return min(10 * hits / max(len(words), 1), 1.0)
