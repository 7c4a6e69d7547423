"""The guard's say over a whole answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from llmops_cli.serve.answers.dialects.choices import Place
from llmops_cli.serve.context import GuardVerdict
from llmops_cli.serve.endpoints import Endpoint

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard
    from llmops_cli.guard.decision import Decision


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
        places = endpoint.places(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        return GuardedAnswer(raw)
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
    return GuardedAnswer(msgspec.json.encode(answer), GuardVerdict("output", action, rule))


def _apply(decision: Decision, place: Place) -> None:
    if decision.action == "redact":
        place.holder[place.field] = decision.text
        return
    is_answer = place.name == "content"
    place.holder[place.field] = decision.message if is_answer else ""
    if "finish_reason" in place.choice:
        place.choice["finish_reason"] = "content_filter"
