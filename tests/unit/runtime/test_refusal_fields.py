"""Replies that say in a field that there is no answer."""

from __future__ import annotations

import pytest

from llmops_cli.runtime.refusal_fields import Declined, Filtered, require_said


def choice(reason: str, **message: object) -> dict[str, object]:
    return {"choices": [{"finish_reason": reason, "message": message}]}


@pytest.mark.parametrize(
    ("reply", "raised"),
    [
        (choice("stop", content=None, refusal="I can't."), Declined),
        (choice("refusal", content=""), Declined),
        (choice("content_filter", content=""), Filtered),
        (choice("SAFETY", content=None), Filtered),
        ({"type": "message", "content": [], "stop_reason": "refusal"}, Declined),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, Filtered),
        ({"candidates": [{"finishReason": "PROHIBITED_CONTENT"}]}, Filtered),
    ],
    ids=["openai", "finish", "filter", "safety", "anthropic", "gemini-prompt", "gemini-answer"],
)
def test_who_stopped_the_answer_is_told(reply: object, raised: type[Filtered]) -> None:
    with pytest.raises(Filtered) as caught:
        require_said(reply)
    assert type(caught.value) is raised


@pytest.mark.parametrize(
    "reply",
    [
        choice("stop", content="7", refusal=None),
        choice("content_filter", content="The secret word is"),
        choice("length", content=""),
        {"choices": []},
        {"choices": "x"},
        [],
        None,
    ],
    ids=["text", "partial", "long", "none", "text-for-list", "list", "null"],
)
def test_what_has_text_or_no_reason_goes_on(reply: object) -> None:
    require_said(reply)
