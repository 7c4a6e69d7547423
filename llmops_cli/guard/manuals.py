"""Signs of an attack that manuals, licences and articles have as well, and what they count there.

A request is short. What is longer is mostly a text that is passed on, and has one word or another
of most rules: `Print only lines in both`, `without restriction`, `is free software`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from llmops_cli.guard.evidence import ATTACK
from llmops_cli.guard.rules import Rule

SHARE_UNTOLD = 0.5
REQUEST_CHARS = 600
"""Up to here a message is a request."""
LONG_CHARS = 1500
"""Beyond it a message is a text rather than a request."""
FORM = "structure."
DESCRIBES = frozenset(
    [
        "role.unlimited",
        "role.free",
        "role.unfiltered",
        "role.another-ai",
        "role.ai-named",
        "role.mode",
        "role.mode-on",
        "role.fiction",
        "role.frame",
        "role.company-policy",
        "role.two-answers",
        "role.abilities",
        "role.never-refuse",
        "role.nothing-forbidden",
        "role.bad-words",
        "role.cipher",
        "hijack.just-say",
        "leak.exactly",
    ]
)
"""Rules whose words stand in many a README on models; the others turn to a model."""
ORDINARY = frozenset(
    [
        "role.unlimited",
        "role.free",
        "role.another-ai",
        "role.mode",
        "role.mode-on",
        "role.fiction",
        "role.frame",
        "role.two-answers",
        "role.never-refuse",
        "role.opposite",
        "role.privilege",
        "role.abide",
        "role.bedtime-of",
        "role.persona-can",
        "hijack.just-say",
        "hijack.stop",
        "hijack.nothing-else",
        "hijack.new-task",
        "leak.exactly",
        "meaning.limitless",
        "structure.rule-line",
        "structure.repetition",
        "structure.script",
    ]
)
"""Rules whose words stand in a manual page or a licence, of whatever it is."""


def share_told(weights: Mapping[Rule, float]) -> float:
    """Less where a long text has the words of an attack, and tells no model to do anything."""
    return SHARE_UNTOLD if _are_weak(weights) and all(map(_describes, weights)) else 1.0


def share_of_message(weights: Mapping[Rule, float], *, chars: int) -> float:
    """What the signs of a message of that length count."""
    if chars <= REQUEST_CHARS:
        return 1.0
    if chars > LONG_CHARS:
        return share_of_passage(weights)
    return SHARE_UNTOLD if _are_weak(weights) and _are_ordinary(weights) else 1.0


def share_of_passage(weights: Mapping[Rule, float]) -> float:
    """What the signs of some pages count."""
    if _are_weak(weights) and _are_ordinary(weights):
        return SHARE_UNTOLD
    return share_told(weights)


def _are_ordinary(rules: Iterable[Rule]) -> bool:
    return all(rule.id in ORDINARY for rule in rules)


def _are_weak(weights: Mapping[Rule, float]) -> bool:
    return all(weight < ATTACK for weight in weights.values())


def _describes(rule: Rule) -> bool:
    return rule.id in DESCRIBES or rule.id.startswith(FORM)
