"""Verdicts of models: an OpenAI-compatible moderation endpoint, a classifier of a text."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from llmops_cli.core.errors import EnvironmentMissing, UsageError, unknown_name
from llmops_cli.guard.decision import Finding
from llmops_cli.guard.learnt.features import span_of
from llmops_cli.guard.learnt.model import MODEL, WEIGHTS, LearntStage, shipped_stage
from llmops_cli.guard.policy import ONNX, SHIPPED, Detector, Policy, PolicySide, load_policy
from llmops_cli.runtime.digests import digest_file, digest_value
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.keys import api_key, bearer

if TYPE_CHECKING:
    from llmops_cli.guard.moderation.model import CategoryScore

DETECTORS = "llmops.detectors"
LEARNT = "learnt:"
TIMEOUT_S = 20.0
GIVE_ORDERS = ("system", "developer", "assistant")
"""Roles that a learnt stage is not asked about: what it looks for is their business."""

Classifier = Callable[[str], float]
"""Text -> probability of an attack; of a learnt stage evidence, 1 of which is an attack."""


def moderated(text: str, entry: Detector) -> list[Finding]:
    """The verdict of an endpoint, or of a model here; it failing is an error, not a pass."""
    if entry.url:
        return _moderated_by_endpoint(text, entry, entry.url)
    return [
        Finding(
            detector="moderation",
            rule=category,
            action=entry.action,
            score=round(score.probability / score.threshold, 4),
            span=(0, len(text)),
        )
        for category, score in moderation_scores(text, entry).items()
        if score.is_over
    ]


def moderation_scores(text: str, entry: Detector) -> dict[str, CategoryScore]:
    """By a model here; nothing where the policy names none.

    The policy's `threshold` is a factor of the model's own, which are of each category.
    """
    if not entry.name:
        return {}
    from llmops_cli.guard.moderation.model import CategoryScore, load_moderation

    found = load_moderation(entry.name.removeprefix(ONNX))(text)
    return {
        category: CategoryScore(score.probability, min(1.0, score.threshold * entry.threshold))
        for category, score in found.items()
    }


def _moderated_by_endpoint(
    text: str,
    entry: Detector,
    url: str,
) -> list[Finding]:
    body: dict[str, object] = {"input": text}
    if entry.model:
        body["model"] = entry.model
    http = Http(headers=bearer(api_key(entry.key_env)))
    answer = http.post_json(url, body, timeout_s=TIMEOUT_S)
    try:
        result = (answer or {})["results"][0]
    except (KeyError, IndexError, TypeError):
        raise EnvironmentMissing(f"no moderation verdict from {url}") from None
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
    """The classifier's score, from the threshold on, and where it is highest."""
    name = entry.name or ""
    classifier = load_classifier(name)
    span = (0, len(text))
    if isinstance(classifier, LearntStage):
        judged = classifier.judge(text)
        score = classifier.evidence(judged)
        if judged.window is not None and len(judged.read) == len(text):
            span = span_of(judged.read, judged.window)
    else:
        score = classifier(text)
    if score < entry.threshold:
        return []
    finding = Finding(
        detector="classifier",
        rule=name,
        action=entry.action,
        score=round(score, 4),
        span=span,
    )
    return [finding]


def is_learnt(name: str | None) -> bool:
    """Whether a classifier is a stage of ours, which takes no longer than the rules."""
    return name is not None and (name == SHIPPED or name.startswith(LEARNT))


@cache
def load_classifier(name: str) -> Classifier:
    """`shipped`, a folder, or an entry point of llmops.detectors.

    `onnx:FOLDER` has model.onnx and tokenizer.json, `learnt:FOLDER` is of `llmops guard train`.
    """
    if name == SHIPPED:
        return shipped_stage()
    if name.startswith(LEARNT):
        return LearntStage(Path(name.removeprefix(LEARNT)))
    if name.startswith(ONNX):
        from llmops_cli.guard.onnx import OnnxClassifier

        return OnnxClassifier(name.removeprefix(ONNX))
    found = {point.name: point for point in entry_points(group=DETECTORS)}
    if name not in found:
        raise unknown_name("classifier", name, [*found, SHIPPED, "onnx:FOLDER", "learnt:FOLDER"])
    loaded: Classifier = found[name].load()
    return loaded


def ready_policy(path: Path) -> Policy:
    """A policy whose models are here. Raises: UsageError, EnvironmentMissing."""
    policy = load_policy(path)
    _require_models(policy)
    return policy


def stage_digests(policy: Policy) -> dict[str, str]:
    """Of the learnt stages that it asks, by name: their files may change under one."""
    entries = [side.of("classifier") for side in _sides_of(policy)]
    names = sorted({entry.name or "" for entry in entries if entry.action != "allow"})
    found = {}
    for name in names:
        stage = load_classifier(name) if is_learnt(name) else None
        if isinstance(stage, LearntStage):
            found[name] = digest_value(
                [digest_file(stage.folder / file) for file in (MODEL, WEIGHTS)]
            )
    return found


def _sides_of(policy: Policy) -> list[PolicySide]:
    pairs = [(policy.input, policy.output), *policy.routes.values()]
    return [*(side for pair in pairs for side in pair), *policy.roles.values()]


def _require_models(policy: Policy) -> None:
    for side in _sides_of(policy):
        classifier = side.of("classifier")
        if classifier.action != "allow" and classifier.name:
            _require(classifier.name)
        moderation = side.of("moderation")
        if moderation.name:  # its scores are told even where it stops nothing
            _require(moderation.name)
            require_moderation(Path(moderation.name.removeprefix(ONNX)))


def require_moderation(folder: Path) -> None:
    """Its labels, or its card, can be read. Raises: UsageError."""
    from llmops_cli.guard.moderation.model import CARD, labels_in, read_card

    if (folder / CARD).is_file():
        read_card(folder / CARD)
    else:
        labels_in(folder)


def _require(name: str) -> None:
    if not name.startswith(ONNX):
        load_classifier(name)
        return
    model = Path(name.removeprefix(ONNX)) / "model.onnx"
    if not model.is_file():
        raise UsageError(f"no model at {model}", hint="onnx:FOLDER, with model.onnx in it")
    if find_spec("onnxruntime") is None:
        raise EnvironmentMissing(
            "ONNX models need onnxruntime", hint="pip install onnxruntime tokenizers"
        )


def with_stage(policy: Policy, folder: Path) -> Policy:
    """The policy with a learnt stage for what goes in. Raises: UsageError for no such stage."""
    name = f"{LEARNT}{folder}"
    load_classifier(name)  # a mistake is told before the first text
    return _with_classifier(policy, Detector(action="block", name=name))


def rules_alone(policy: Policy) -> Policy:
    """The policy without any classifier."""
    return _with_classifier(policy, Detector(action="allow"))


def _with_classifier(policy: Policy, classifier: Detector) -> Policy:
    """Roles that have an action of their own for a classifier keep it, for this one."""
    roles = {role: PolicySide(detectors={}) for role in GIVE_ORDERS} | policy.roles
    return structs.replace(
        policy,
        input=_with(policy.input, classifier),
        roles={role: _of_role(role, side, classifier) for role, side in roles.items()},
    )


def _of_role(
    role: str,
    side: PolicySide,
    classifier: Detector,
) -> PolicySide:
    known = side.detectors.get("classifier")
    if role in GIVE_ORDERS:
        return _with(side, Detector(action="allow"))
    if known is None or known.action == "allow":
        return side
    action = "allow" if classifier.action == "allow" else known.action
    return _with(side, structs.replace(classifier, action=action))


def _with(side: PolicySide, classifier: Detector) -> PolicySide:
    return PolicySide(detectors=side.detectors | {"classifier": classifier})
