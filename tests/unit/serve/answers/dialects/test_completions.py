"""Choices of a text completion."""

from __future__ import annotations

from typing import Any

from llmops_cli.serve.answers.dialects.completions import TextChoices

FORM = TextChoices()


def test_pieces_become_a_text() -> None:
    choice: dict[str, Any] = {}
    for text in ("Hel", None, "lo"):
        FORM.merge(choice, {"text": text})
    FORM.tidy(choice)
    assert choice == {"text": "Hello"}


def test_a_word_is_a_piece_and_the_last_tells_the_end() -> None:
    pieces = list(FORM.pieces({"text": "one two", "finish_reason": "length"}))
    assert pieces == [
        {"text": "one"},
        {"text": " two"},
        {"text": "", "finish_reason": "length"},
    ]


def test_more_words_go_where_they_belong() -> None:
    choice = FORM.empty(1)
    FORM.append(choice, "content", "a")
    FORM.append(choice, "content", "b")
    assert choice == {
        "index": 1,
        "finish_reason": None,
        "text": "ab",
    }
    FORM.replace(choice, "blocked")
    assert choice["text"] == "blocked"
