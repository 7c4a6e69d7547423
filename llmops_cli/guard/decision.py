"""What a guard saw and what it decided: the strongest action of all findings."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from llmops_cli.guard.personal import Entity, redact
from llmops_cli.guard.policy import FAMILY, STRENGTH, Action, Policy, PolicySide

ATTACKS = frozenset((*FAMILY.values(), "orders", "moderation", "classifier"))
"""Detectors of what somebody wants from the model; the others look for what may not pass."""
CLASSIFIER = "classifier"
NAMES_ITS_KIND = ("personal", "secrets")
"""Detectors whose rule is the kind that stands for what was redacted."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule of one detector saw.

    Where in the text (`span`, characters), and through which decoding (`view`).
    """

    detector: str
    rule: str
    action: Action
    score: float
    span: tuple[int, int]
    view: list[str] = []
    excerpt: str = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """`text` is what may go on: redacted, or empty if blocked."""

    action: Action
    findings: list[Finding]
    text: str
    message: str | None = None
    score: float = 0.0

    @property
    def flagged(self) -> bool:
        return self.action in ("flag", "block")

    @property
    def suspects(self) -> bool:
        """Whether it lets an attack through, as it seems, and says so."""
        if self.action == "block":
            return False
        return any(each.action == "flag" and each.detector in ATTACKS for each in self.findings)


def decide(
    text: str,
    findings: list[Finding],
    *,
    side: PolicySide,
    policy: Policy,
) -> Decision:
    """The decision that follows from the findings."""
    if not findings:
        return Decision(action="allow", findings=findings, text=text, score=0)
    actions: list[Action] = [finding.action for finding in findings]
    action: Action = max(actions, key=STRENGTH.__getitem__, default="allow")
    score = max(_score_of_rules(findings), _score_of_stage(findings))
    if action == "block":
        kept = ""
        message = _message(findings, side=side, policy=policy)
    else:
        kept = redact(text, _redacted(findings))
        message = None
    return Decision(
        action=action, findings=findings, text=kept, message=message, score=round(score, 3)
    )


def _score_of_rules(findings: Sequence[Finding]) -> float:
    return sum(finding.score for finding in findings if finding.detector in FAMILY.values())


def _score_of_stage(findings: Sequence[Finding]) -> float:
    """Of a learnt stage that calls it an attack; other classifiers tell shares of 1."""
    scores = [finding.score for finding in findings if finding.detector == CLASSIFIER]
    return max((score for score in scores if score >= 1.0), default=0.0)


def _message(
    findings: Sequence[Finding],
    *,
    side: PolicySide,
    policy: Policy,
) -> str:
    """What the user is told: the word of the first detector that blocks, or the policy's."""
    blocker = next(finding for finding in findings if finding.action == "block")
    return side.of(blocker.detector).message or policy.message


def _redacted(findings: Sequence[Finding]) -> list[Entity]:
    """What is taken out of the text, in order and without overlaps."""
    taken = [finding for finding in findings if finding.action == "redact"]
    taken.sort(key=lambda finding: finding.span)
    found: list[Entity] = []
    for finding in taken:
        if found and finding.span[0] < found[-1].span[1]:
            continue
        kind = finding.rule if finding.detector in NAMES_ITS_KIND else finding.detector
        found.append(Entity(kind, finding.rule, finding.span))
    return found
