"""A word that something is to be asked of is told each time, however often it was met."""

from __future__ import annotations

from llmops_cli.guard.unusual_words import SEEN_CHARS, UnusualWords

WORDS = frozenset({"ignroe", "weather", "vtaber", "x" * (SEEN_CHARS + 1)})


def test_words_are_told_by_any_question_and_asked_about_once() -> None:
    asked: list[str] = []

    def is_turned(word: str) -> bool:
        asked.append(word)
        return word == "ignroe"

    unusual = UnusualWords(is_turned, "vtaber".__eq__)
    for _ in range(2):
        assert unusual.of(WORDS) == {"ignroe", "vtaber"}

    long = "x" * (SEEN_CHARS + 1)
    assert sorted(asked) == sorted([*WORDS, long])
