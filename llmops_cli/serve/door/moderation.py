"""The guard's opinion, in the form of OpenAI's moderations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from llmops_cli.serve.context import Asked

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard
    from llmops_cli.guard.decision import Decision

CATEGORIES = ("injection", "jailbreak", "extraction", "hidden_text")


def moderated(guard: Guard | None, asked: Asked) -> bytes:
    """Without a guard of the gateway's own, the default one's opinion."""
    from llmops_cli.guard.check import Guard

    judge = guard or Guard()
    results = [_result(judge.check_input(text)) for _, text in asked.texts()]
    return msgspec.json.encode(
        {
            "id": f"modr-{asked.id}",
            "model": "llmops-guard",
            "results": results,
        }
    )


def _result(decision: Decision) -> dict[str, Any]:  # Any: JSON
    hits = {found.detector for found in decision.findings if found.action in ("flag", "block")}
    return {
        "flagged": decision.flagged,
        "categories": {name: name in hits for name in CATEGORIES},
        "category_scores": {name: _score(decision, name) for name in CATEGORIES},
    }


def _score(decision: Decision, detector: str) -> float:
    scores = (found.score for found in decision.findings if found.detector == detector)
    return min(1.0, sum(scores))
