"""Verdicts of models: an OpenAI-compatible moderation endpoint, a classifier of a text."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from msgspec import structs

from llmops_cli.core.errors import EnvironmentMissing, UsageError, unknown_name
from llmops_cli.guard.decision import Finding
from llmops_cli.guard.policy import Detector, Policy, PolicySide
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.keys import api_key, bearer

DETECTORS = "llmops.detectors"
ONNX = "onnx:"
LEARNT = "learnt:"
TIMEOUT_S = 20.0
GIVE_ORDERS = ("system", "developer", "assistant")
"""Roles that a learnt stage is not asked about: what it looks for is their business."""

Classifier = Callable[[str], float]
"""Text -> probability of an attack; of a learnt stage evidence, 1 of which is an attack."""


def moderated(text: str, entry: Detector) -> list[Finding]:
    """The endpoint's verdict; it failing is an error, not a pass."""
    if not entry.url:
        raise UsageError(
            "the moderation detector needs a url", hint="an OpenAI-compatible /v1/moderations"
        )
    body: dict[str, object] = {"input": text}
    if entry.model:
        body["model"] = entry.model
    http = Http(headers=bearer(api_key(entry.key_env)))
    answer = http.post_json(entry.url, body, timeout_s=TIMEOUT_S)
    try:
        result = (answer or {})["results"][0]
    except (KeyError, IndexError, TypeError):
        raise EnvironmentMissing(f"no moderation verdict from {entry.url}") from None
    return [
        Finding(
            detector="moderation", rule=name, action=entry.action, score=score, span=(0, len(text))
        )
        for name, score in _over(result, entry.threshold).items()
    ]


def _over(result: dict[str, Any], threshold: float) -> dict[str, float]:  # Any: the endpoint's
    """Categories from the threshold on, or those it flagged itself where none is."""
    scores = result.get("category_scores") or {}
    least = min(threshold, 1.0)
    over = {str(name): float(score) for name, score in scores.items() if float(score) >= least}
    if over or not result.get("flagged"):
        return over
    categories = result.get("categories") or {"flagged": True}
    return {str(name): 1.0 for name, is_hit in categories.items() if is_hit}


def classified(text: str, entry: Detector) -> list[Finding]:
    """The classifier's score, from the threshold on."""
    name = entry.name or ""
    score = load_classifier(name)(text)
    if score < entry.threshold:
        return []
    finding = Finding(
        detector="classifier",
        rule=name,
        action=entry.action,
        score=round(score, 4),
        span=(0, len(text)),
    )
    return [finding]


@cache
def load_classifier(name: str) -> Classifier:
    """A folder or an entry point of llmops.detectors.

    `onnx:FOLDER` has model.onnx and tokenizer.json, `learnt:FOLDER` is of `llmops guard train`.
    """
    if name.startswith(LEARNT):
        from llmops_cli.guard.learnt.model import LearntStage

        return LearntStage(name.removeprefix(LEARNT))
    if name.startswith(ONNX):
        from llmops_cli.guard.onnx import OnnxClassifier

        return OnnxClassifier(name.removeprefix(ONNX))
    found = {point.name: point for point in entry_points(group=DETECTORS)}
    if name not in found:
        raise unknown_name("classifier", name, [*found, "onnx:FOLDER", "learnt:FOLDER"])
    loaded: Classifier = found[name].load()
    return loaded


def with_stage(policy: Policy, folder: Path) -> Policy:
    """The policy with a learnt stage for what goes in. Raises: UsageError for no such stage."""
    name = f"{LEARNT}{folder}"
    load_classifier(name)  # a mistake is told before the first text
    classifier = Detector(action="block", name=name)
    return structs.replace(
        policy,
        input=_with(policy.input, classifier),
        roles=policy.roles | {role: _without(policy.roles.get(role)) for role in GIVE_ORDERS},
    )


def _with(side: PolicySide, classifier: Detector) -> PolicySide:
    return PolicySide(detectors=side.detectors | {"classifier": classifier})


def _without(side: PolicySide | None) -> PolicySide:
    return _with(side or PolicySide(detectors={}), Detector(action="allow"))
