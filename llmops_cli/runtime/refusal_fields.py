"""Replies that say by a field of their own that there is no answer: refused, or filtered.

OpenAI: `message.refusal` and the finish reasons; Anthropic: `stop_reason`; Gemini:
`promptFeedback.blockReason` and `finishReason`. Servers that speak OpenAI's dialect for others pass
these on as they are.
"""

from __future__ import annotations

from typing import Any

FILTERS = frozenset(
    {
        "content_filter",
        "content_filtered",
        "safety",
        "blocklist",
        "prohibited_content",
        "spii",
        "recitation",
        "image_safety",
        "guardrail_intervened",
    }
)
"""Reasons to stop that are a filter's."""
REFUSALS = frozenset({"refusal", "refused"})
"""Reasons to stop that are the model's own."""
REASON_FIELDS = ("finish_reason", "native_finish_reason", "finishReason", "stop_reason")


class Filtered(Exception):
    """A filter in front of the model refused the message."""


class Declined(Filtered):
    """The model refused, and said so in a field. `text`: what it said there."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def require_said(reply: Any) -> None:  # Any: JSON
    """Returns if the reply has text, or no field says why not. Raises: Declined, Filtered.

    Text that came before a filter stopped it was read by whoever asked, so it is an answer.
    """
    if not isinstance(reply, dict):
        return
    feedback = reply.get("promptFeedback") or reply.get("prompt_feedback")
    if isinstance(feedback, dict) and (feedback.get("blockReason") or feedback.get("block_reason")):
        raise Filtered
    for choice in _choices(reply):
        _require_said_by(choice)


def _choices(reply: dict[str, Any]) -> list[dict[str, Any]]:  # Any: JSON
    """The first choice of OpenAI's and Gemini's replies, and Anthropic's reply itself."""
    found = [reply]
    for name in ("choices", "candidates"):
        listed = reply.get(name)
        if isinstance(listed, list) and listed and isinstance(listed[0], dict):
            found.append(listed[0])
    return found


def _require_said_by(choice: dict[str, Any]) -> None:  # Any: JSON
    said = choice.get("message")
    message = said if isinstance(said, dict) else {}
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal.strip():
        raise Declined(refusal)
    if message.get("content") or message.get("tool_calls"):
        return
    reasons = {str(choice.get(name)).lower() for name in REASON_FIELDS}
    if reasons & REFUSALS:
        raise Declined("")
    if reasons & FILTERS:
        raise Filtered
