"""Messages of a chat made smaller by rules, so that what was left out can be told.

In this order, each only as far as it is needed: blanks that say nothing, paragraphs that stand
there already, and, to fit into a number of tokens, the oldest turns. The system's messages, the
last user's with all that follows it, code, calls of tools and their results stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec

from llmops_cli.prompt_file.prose import Line, LineKind, lines_of, paragraphs_of, without_blanks

Message = dict[str, Any]  # Any: a text, or parts, as endpoints take them

CHARS_PER_TOKEN = 4
"""An estimate: no tokenizer is asked."""
LEAST_REPEATED_CHARS = 80
"""Shorter paragraphs, such as `Yes.`, say something each time."""
SYSTEM_ROLES = ("system", "developer")
TALKING_ROLES = ("user", "assistant")
CALLS = ("tool_calls", "function_call")


class Compressed(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens are estimated. `dropped_turns`: the oldest, a user's message and what follows it."""

    messages: list[Message]
    tokens_before: int
    tokens_after: int
    repeated_paragraphs: int = 0
    dropped_turns: int = 0

    @property
    def saved_tokens(self) -> int:
        return self.tokens_before - self.tokens_after


def compressed(
    messages: Sequence[Message],
    *,
    most_tokens: int | None = None,
    fixed: int = 0,
) -> Compressed:
    """The same chat, smaller. Without `most_tokens` no turn is dropped.

    `fixed`: so many of the first messages stay as they are, and count.
    """
    head = list(messages[:fixed])
    if most_tokens is not None:
        most_tokens = max(0, most_tokens - estimated_tokens(head))
    try:
        found = _compressed(messages[fixed:], most_tokens)
    finally:
        _lines_of.cache_clear()
    if not head:
        return found
    kept = [*head, *found.messages]
    return msgspec.structs.replace(
        found,
        messages=kept,
        tokens_before=estimated_tokens(messages),
        tokens_after=estimated_tokens(kept),
    )


@cache
def _lines_of(text: str) -> list[Line]:
    """Each text is looked at for each number of turns that may go; it is read once."""
    return lines_of(text)


def _compressed(messages: Sequence[Message], most_tokens: int | None) -> Compressed:
    last = _last_turn(messages)
    plain = [
        _with_texts(message, without_blanks) if number < last and _may_change(message) else message
        for number, message in enumerate(messages)
    ]
    turns = [turn for turn in _turns(plain) if turn[-1] < last]

    def without(count: int) -> _Smaller:
        dropped = {number for turn in turns[:count] for number in turn}
        repeats = _Repeats()
        kept = [
            repeats.removed_from(message, fixed=number >= last)
            for number, message in enumerate(plain)
            if number not in dropped
        ]
        return _Smaller(kept, count, repeats.count)

    found = without(0)
    if most_tokens is not None and estimated_tokens(found.messages) > most_tokens:
        least = _turns_too_many(plain, turns, last, most_tokens)
        found = _fewest_dropped(without, least, len(turns), most_tokens)
    return Compressed(
        messages=found.messages,
        tokens_before=estimated_tokens(messages),
        tokens_after=estimated_tokens(found.messages),
        repeated_paragraphs=found.repeated,
        dropped_turns=found.dropped,
    )


class _Smaller(NamedTuple):
    messages: list[Message]
    dropped: int
    repeated: int


def _fewest_dropped(
    without: Callable[[int], _Smaller],
    least: int,
    most: int,
    most_tokens: int,
) -> _Smaller:
    """A few more than `least` may have to go, where copies of paragraphs cannot."""
    step = 1
    found = without(least)
    while estimated_tokens(found.messages) > most_tokens and least < most:
        least += 1
        found = without(min(least + step, most))
        step *= 2
        if estimated_tokens(found.messages) <= most_tokens or found.dropped == most:
            break
        least = found.dropped
    while least < found.dropped:
        middle = without((least + found.dropped) // 2)
        if estimated_tokens(middle.messages) <= most_tokens:
            found = middle
        else:
            least = middle.dropped + 1
    return found


def estimated_tokens(messages: Sequence[Message]) -> int:
    """Of all texts in them."""
    return sum(map(_chars, messages)) // CHARS_PER_TOKEN


def _chars(message: Message) -> int:
    return sum(map(len, _texts(message)))


def _last_turn(messages: Sequence[Message]) -> int:
    """Where the last user's message stands; without any, the last message."""
    for number in range(len(messages) - 1, -1, -1):
        if messages[number].get("role") == "user":
            return number
    return len(messages) - 1


def _may_change(message: Message) -> bool:
    return message.get("role") in TALKING_ROLES and not any(message.get(name) for name in CALLS)


def _texts(message: Message) -> list[str]:
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        return []
    return [part["text"] for part in content if _is_text(part)]


def _is_text(part: Any) -> bool:  # Any: JSON
    if not isinstance(part, Mapping) or part.get("type") != "text":
        return False
    return isinstance(part.get("text"), str)


def _with_texts(message: Message, change: Callable[[str], str]) -> Message:
    """A copy whose texts are changed; what would be left empty stays as it is."""
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": change(content) or content}
    if not isinstance(content, list):
        return message
    parts = [
        {**part, "text": change(part["text"]) or part["text"]} if _is_text(part) else part
        for part in content
    ]
    return {**message, "content": parts}


class _Repeats:
    """Paragraphs that were seen; the first of equal ones stays, so that a prompt's head does."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self.count = 0

    def removed_from(self, message: Message, *, fixed: bool) -> Message:
        """`fixed`: it stays as it is, whatever stood before."""
        if not fixed and _may_change(message):
            return _with_texts(message, self._without_repeats)
        for text in _texts(message):
            self._seen.update(_long_paragraphs(text))
        return message

    def _without_repeats(self, text: str) -> str:
        lines = _lines_of(text)
        removed: set[int] = set()
        count = 0
        for first, end, words in paragraphs_of(lines):
            if len(words) < LEAST_REPEATED_CHARS:
                continue
            if words not in self._seen or _touches_code(lines, first, end):
                self._seen.add(words)
                continue
            count += 1
            removed.update(range(first, end))
            if end < len(lines) and lines[end].kind is LineKind.BLANK:
                removed.add(end)
        kept = [line.text for number, line in enumerate(lines) if number not in removed]
        if len(lines) - 1 in removed:
            while kept and not kept[-1].strip():
                kept.pop()
        if not kept:
            return text
        self.count += count
        return "\n".join(kept)


def _touches_code(lines: Sequence[Line], first: int, end: int) -> bool:
    """Whether a paragraph and code have no empty line between them: they may be one thing."""
    around = [*lines[max(0, first - 1) : first], *lines[end : end + 1]]
    return any(line.kind is LineKind.CODE for line in around)


def _long_paragraphs(text: str) -> list[str]:
    found = [paragraph.words for paragraph in paragraphs_of(_lines_of(text))]
    return [words for words in found if len(words) >= LEAST_REPEATED_CHARS]


def _turns(messages: Sequence[Message]) -> list[list[int]]:
    """Numbers of messages: a user's and all up to the next one, but no call without its result.

    Those of the system belong to none. What stands before the first user's is a turn too.
    """
    turns: list[list[int]] = []
    open_calls: set[str] = set()
    for number, message in enumerate(messages):
        role = message.get("role")
        if role in SYSTEM_ROLES:
            continue
        if not turns or (role == "user" and not open_calls):
            turns.append([])
        turns[-1].append(number)
        open_calls.update(_calls_in(message))
        open_calls.discard(str(message.get("tool_call_id")))
    return turns


def _calls_in(message: Message) -> list[str]:
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return []
    return [str(call.get("id")) for call in calls if isinstance(call, Mapping)]


def _turns_too_many(
    messages: Sequence[Message],
    turns: Sequence[Sequence[int]],
    last: int,
    most_tokens: int,
) -> int:
    """How many of the oldest go: the fewest, as each paragraph counts once in what is left."""
    in_turns = {number for turn in turns for number in turn}
    seen: set[str] = set()
    chars = 0
    for number, message in enumerate(messages):
        if number not in in_turns:
            chars += _chars(message)
        if number < last and number not in in_turns:
            seen.update(words for text in _texts(message) for words in _long_paragraphs(text))
    for left in range(len(turns), 0, -1):
        chars += sum(_new_chars(messages[number], seen) for number in turns[left - 1])
        if chars // CHARS_PER_TOKEN > most_tokens:
            return left
    return 0


def _new_chars(message: Message, seen: set[str]) -> int:
    """Without paragraphs that stand in what is kept already."""
    chars = _chars(message)
    if not _may_change(message):
        return chars
    for text in _texts(message):
        for words in _long_paragraphs(text):
            if words in seen:
                chars -= len(words)
            seen.add(words)
    return chars
