"""The guard's opinion, in the form of OpenAI's moderations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from llmops_cli.guard.moderation.categories import CATEGORIES
from llmops_cli.serve.reading import words_over_cuts
from llmops_cli.serve.refusal import Refusal

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard
    from llmops_cli.guard.decision import Decision

Json = dict[str, Any]  # Any: OpenAI's fields
OURS = ("injection", "jailbreak", "extraction", "hidden_text")
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
    results = [_result(guard, text) for text in texts]
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


def _result(guard: Guard, text: str) -> _Result:
    """OpenAI's own categories, which its clients read, are looked for by a local model alone.

    Without one, or of those that it does not know, no kind of input was looked at.
    """
    decision = guard.check_input(text)
    hits = {found.detector for found in decision.findings if found.action in ("flag", "block")}
    known = guard.moderation_scores(text)
    theirs = {name: name in known and known[name].is_over for name in CATEGORIES}
    scores = {name: known[name].probability if name in known else 0.0 for name in CATEGORIES}
    return _Result(
        flagged=decision.flagged or any(theirs.values()),
        categories=theirs | {name: name in hits for name in OURS},
        category_scores=scores | {name: _score(decision, name) for name in OURS},
        category_applied_input_types={
            **{name: ["text"] if name in known else [] for name in CATEGORIES},
            **{name: ["text"] for name in OURS},
        },
    )


def _score(decision: Decision, detector: str) -> float:
    scores = (found.score for found in decision.findings if found.detector == detector)
    return min(1.0, sum(scores))
