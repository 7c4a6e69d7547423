"""Names of cached answers: what can change an answer is in its name."""

from __future__ import annotations

from typing import Any

import pytest

from llmops_cli.serve.answers.cache import Question, question
from llmops_cli.serve.endpoints import CHAT

BODY: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "What is 3 times 4?"}],
    "temperature": 0.5,
}


def asked(**changes: Any) -> Question:
    """BODY's question, with other fields, or asked by somebody else."""
    body = dict(BODY)
    about = {
        "tenant": "t",
        "route": CHAT.path,
        "alias": "m",
        "policy": "",
        "sources": [b"stable"],
    }
    for name, value in changes.items():
        changed = about if name in about else body
        changed[name] = value
    return question(body, **about)


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "u"},
        {"alias": "n"},
        {"policy": "p"},
        {"sources": [b"canary"]},
        {"sources": [b"stable", b"blue"]},
        {"route": "/v1/completions"},
        {"temperature": 0.6},
        {"seed": 1},
        {"tools": [1]},
        {"response_format": {"type": "json_object"}},
        {"logit_bias": {"5": 1}},
        {"top_p": 0.5},
        {"some_new_field": True},
        {"messages": [{"role": "system", "content": "x"}, *BODY["messages"]]},
    ],
)
def test_what_can_change_an_answer_is_in_its_name(change: dict[str, Any]) -> None:
    assert asked(**change).name != asked().name
    assert asked(**change).partition != asked().partition


@pytest.mark.parametrize(
    "change", [{"stream": True}, {"user": "x"}, {"stream_options": {"include_usage": True}}]
)
def test_what_changes_no_answer_is_not(change: dict[str, Any]) -> None:
    assert asked(**change).name == asked().name


def test_only_the_last_question_may_vary_by_meaning() -> None:
    other = [{"role": "user", "content": "3 times 4 is what"}]
    assert asked(messages=other).name != asked().name
    assert asked(messages=other).partition == asked().partition
    third = [{"role": "user", "content": "What is 3 times 5?"}]
    assert asked(messages=third).partition != asked().partition
