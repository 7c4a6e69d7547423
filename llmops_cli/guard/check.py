"""The guard: a policy's detectors over what goes in and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmops_cli.guard.automata import without_surrogates
from llmops_cli.guard.decision import Decision, Finding, decide
from llmops_cli.guard.detectors import (
    attacks,
    common,
    leaks,
    links,
    of_classifier,
    orders,
    too_long,
)
from llmops_cli.guard.injection import scan
from llmops_cli.guard.leak import LeakCheck, canary_check
from llmops_cli.guard.models import moderation_scores
from llmops_cli.guard.output import OutputStream
from llmops_cli.guard.policy import DEFAULT, STRENGTH, Policy, PolicySide
from llmops_cli.guard.together import RoleText, neighbours_of, of_others

if TYPE_CHECKING:
    from llmops_cli.guard.moderation.model import CategoryScore


class Guard:
    """Judges texts by one policy. Safe to share between threads. No text makes it raise."""

    def __init__(self, policy: Policy = DEFAULT) -> None:
        self.policy = policy

    def check_input(
        self,
        text: str,
        *,
        role: str = "user",
        route: str | None = None,
    ) -> Decision:
        """What a user, a document or a tool says to the model."""
        text = without_surrogates(text)
        side = self.policy.input_of(role=role, route=route)
        findings = _over_length(text, side)
        if not findings:
            found = scan(text)
            findings = [*attacks(found, side), *orders(text, side), *common(text, side)]
            findings += of_classifier(text, side, found)
        return decide(text, findings, side=side, policy=self.policy)

    def moderation_scores(self, text: str) -> dict[str, CategoryScore]:
        """OpenAI's categories, as far as a model of the policy's knows them."""
        entry = self.policy.input.of("moderation")
        return moderation_scores(without_surrogates(text), entry)

    def check_together(
        self,
        texts: Sequence[RoleText],
        *,
        route: str | None = None,
    ) -> Decision:
        """What neighbouring texts say as one, by the policy of the most trusted of their roles.

        Places are those in the texts joined.
        """
        others = of_others(texts)
        sides = [self.policy.input_of(role=role, route=route) for role, _ in others]
        side = min(sides, key=_strictness, default=self.policy.input)
        decisions = [decide("", [], side=side, policy=self.policy)]
        for joined in neighbours_of(others):
            text = without_surrogates(joined)
            findings = attacks(scan(text, is_part=True), side)
            decisions.append(decide(text, findings, side=side, policy=self.policy))
        return max(decisions, key=lambda decision: STRENGTH[decision.action])

    def check_output(
        self,
        text: str,
        *,
        leak: LeakCheck | None = None,
        route: str | None = None,
    ) -> Decision:
        """What the model says, whole."""
        text = without_surrogates(text)
        side = self.policy.output_of(route=route)
        leak = leak or _own_leak(side)
        findings = _over_length(text, side)
        if not findings:
            findings = [*leaks(text, leak, side), *links(text, side, leak), *common(text, side)]
            findings += of_classifier(text, side)
        return decide(text, findings, side=side, policy=self.policy)

    def output_stream(
        self, *, leak: LeakCheck | None = None, route: str | None = None
    ) -> OutputStream:
        """What the model says, piece by piece."""
        side = self.policy.output_of(route=route)
        return OutputStream(self.policy, side, leak or _own_leak(side))


def _over_length(text: str, side: PolicySide) -> list[Finding]:
    """What is too long is blocked without being read."""
    found = too_long(len(text), side)
    return found if side.of("length").action == "block" else []


def _own_leak(side: PolicySide) -> LeakCheck | None:
    """For the canaries that a policy names."""
    canaries = tuple(side.of("system_prompt").canaries)
    return canary_check(canaries) if canaries else None


def _strictness(side: PolicySide) -> tuple[int, float]:
    entry = side.of("injection")
    return STRENGTH[entry.action], -entry.threshold
