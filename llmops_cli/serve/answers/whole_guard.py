"""The guard's say over a whole answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.runtime.messages_words import SIGNED_THOUGHTS
from llmops_cli.serve.answers.dialects.choice_texts import TextPlace, taken_thoughts
from llmops_cli.serve.answers.dialects.slots import slots_in, without_spelling
from llmops_cli.serve.context import GuardVerdict
from llmops_cli.serve.endpoints import AnswerKind, Endpoint

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard
    from llmops_cli.guard.decision import Decision

SPELT_OUT = ("logprobs", "segments", "words")
"""Fields that say a text again in pieces, of which none is what was redacted."""


class GuardedAnswer(NamedTuple):
    """An answer with what the policy says: redacted, or replaced. `verdict`: None if untouched."""

    body: bytes
    verdict: GuardVerdict | None = None


def guarded_answer(
    guard: Guard,
    raw: bytes,
    endpoint: Endpoint,
) -> GuardedAnswer:
    try:
        answer = msgspec.json.decode(raw)
    except UNREADABLE:
        answer = None
    if endpoint.answers is AnswerKind.TEXT and not isinstance(answer, dict):
        return _guarded_text(guard, raw, endpoint)
    places = _places_of(answer, endpoint)
    action = ""
    rule = ""
    for place in places:
        decision = guard.check_output(place.text, route=endpoint.path)
        if decision.action not in ("redact", "block"):
            continue
        _apply(decision, place)
        rule = decision.findings[0].rule
        if action != "block":
            action = decision.action
    if not action:
        return GuardedAnswer(raw)
    without_spelling(answer, SPELT_OUT)
    return GuardedAnswer(msgspec.json.encode(answer), GuardVerdict("output", action, rule))


def words_size(raw: bytes, endpoint: Endpoint) -> int:
    """About how many bytes of an answer are to be judged: the data of images is no text."""
    if endpoint.answers is not AnswerKind.MEDIA:
        return len(raw)
    try:
        answer = msgspec.json.decode(raw)
    except UNREADABLE:
        return len(raw)
    return sum(len(place.text) for place in _places_of(answer, endpoint))


def _places_of(answer: Any, endpoint: Endpoint) -> list[TextPlace]:  # Any: whatever JSON it is
    """Of an answer of another form, every text that there is."""
    try:
        return endpoint.places(answer)
    except (KeyError, TypeError, AttributeError):
        return [TextPlace({}, "content", *slot) for slot in slots_in(answer)]


def _guarded_text(guard: Guard, raw: bytes, endpoint: Endpoint) -> GuardedAnswer:
    """Subtitles and the like, which are no JSON."""
    text = raw.decode("utf-8", "replace")
    decision = guard.check_output(text, route=endpoint.path)
    if decision.action not in ("redact", "block"):
        return GuardedAnswer(raw)
    shown = decision.text if decision.action == "redact" else decision.message or ""
    verdict = GuardVerdict("output", decision.action, decision.findings[0].rule)
    return GuardedAnswer(shown.encode("utf-8", "replace"), verdict)


def _apply(decision: Decision, place: TextPlace) -> None:
    if place.name == SIGNED_THOUGHTS and taken_thoughts(place.choice).blocks:
        return  # all of them: a signature is of every word
    if decision.action == "redact":
        place.holder[place.field] = decision.text
        return
    is_answer = place.name == "content"
    place.holder[place.field] = decision.message if is_answer else ""
    if "finish_reason" in place.choice:
        place.choice["finish_reason"] = "content_filter"
