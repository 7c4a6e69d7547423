"""The guard's opinion, in the form of OpenAI's moderations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from llmops_cli.serve.reading import words_over_cuts
from llmops_cli.serve.refusal import Refusal

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard
    from llmops_cli.guard.decision import Decision

Json = dict[str, Any]  # Any: OpenAI's fields
CATEGORIES = ("injection", "jailbreak", "extraction", "hidden_text")
THEIRS = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
"""OpenAI's own, which its clients read. The guard looks for none of them and says so."""
BETWEEN_PARTS = "\n"


class _Result(msgspec.Struct):
    """The last field: which kinds of input were looked at."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]


def moderation(
    guard: Guard,
    texts: Sequence[str],
    request_id: str,
) -> bytes:
    """The answer to a request, with a result for each text."""
    results = [_result(guard.check_input(text)) for text in texts]
    return msgspec.json.encode(
        {
            "id": f"modr-{request_id}",
            "model": "llmops-guard",
            "results": results,
        }
    )


def texts_of(value: object) -> list[str]:
    """What is judged, a text for each result: a list of parts is one input.

    Raises: Refusal for another form.
    """
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not value:
        raise _malformed()
    if all(isinstance(item, str) for item in value):
        return value
    parts = [_part(item) for item in value]
    whole = words_over_cuts(parts)
    if whole:
        parts.append(whole)
    return [BETWEEN_PARTS.join(parts)]


def _part(item: object) -> str:
    """Its text; of an image there is none that could be judged."""
    if not isinstance(item, dict):
        raise _malformed()
    kind = item.get("type")
    text = item.get("text")
    if kind == "text" and isinstance(text, str):
        return text
    image = item.get("image_url")
    if kind == "image_url" and isinstance(image, dict) and isinstance(image.get("url"), str):
        return ""
    raise _malformed()


def _malformed() -> Refusal:
    said = "input is a text, a list of texts, or a list of parts of type text and image_url"
    return Refusal(400, said, code="invalid_body")


def _result(decision: Decision) -> _Result:
    hits = {found.detector for found in decision.findings if found.action in ("flag", "block")}
    nobody = dict.fromkeys(THEIRS, False)
    nothing = dict.fromkeys(THEIRS, 0.0)
    return _Result(
        flagged=decision.flagged,
        categories=nobody | {name: name in hits for name in CATEGORIES},
        category_scores=nothing | {name: _score(decision, name) for name in CATEGORIES},
        category_applied_input_types={
            **{name: [] for name in THEIRS},
            **{name: ["text"] for name in CATEGORIES},
        },
    )


def _score(decision: Decision, detector: str) -> float:
    scores = (found.score for found in decision.findings if found.detector == detector)
    return min(1.0, sum(scores))
