"""What a request and its answer said, kept for those who look when it has ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.serve.answers.dialects.sse import (
    DONE,
    END,
    count_of_objects,
    data_of,
    list_of_objects,
)

PENDING_BYTES = 16 << 10
"""Of a stream's events, from which the words are taken then: they are a fiftieth of it."""
EVENT_MOST = 256 << 10
"""Of one event; of a longer one, which has media or all words once more, the end is read."""
WORDS_MOST = 1 << 20
"""Characters of an answer that are kept; an answer of a million tokens is beyond all models."""


class _Function(msgspec.Struct, gc=False):
    arguments: str | None = None


class _Custom(msgspec.Struct, gc=False):
    input: str | None = None


class _Call(msgspec.Struct, gc=False):
    index: int = 0
    function: _Function | None = None
    custom: _Custom | None = None


class _Audio(msgspec.Struct, gc=False):
    transcript: str | None = None


class _Detail(msgspec.Struct, gc=False):
    """Of OpenRouter's reasoning."""

    index: int = 0
    text: str | None = None
    summary: str | None = None


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None
    audio: _Audio | None = None
    reasoning_details: list[_Detail] | None = None

    @property
    def has_more(self) -> bool:
        """Than content."""
        return (
            self.reasoning_content is not None
            or self.reasoning is not None
            or self.refusal is not None
            or self.tool_calls is not None
            or self.function_call is not None
            or self.audio is not None
            or self.reasoning_details is not None
        )


class _Choice(msgspec.Struct, gc=False):
    """`message`: where a server says all of it in one event."""

    index: int = 0
    text: str | None = None
    delta: _Delta | None = None
    message: _Delta | None = None


class _Event(msgspec.Struct, gc=False):
    """Of a stream of choices, or of typed events, where `delta` is the words themselves."""

    choices: list[_Choice] | None = None
    delta: str | None = None


class _Block(msgspec.Struct):
    text: str | None = None
    refusal: str | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _WholeChoice(msgspec.Struct):
    text: str | None = None
    message: _Message | None = None

    def words(self) -> str:
        said = self.message or _Message()
        return self.text or said.content or said.refusal or ""


class _Item(msgspec.Struct):
    content: list[_Block] | None = None


class _Whole(msgspec.Struct):
    """An answer of any of the dialects, as far as it is words."""

    choices: list[_WholeChoice] | None = None
    output: list[_Item] | None = None
    content: list[_Block] | None = None


DONE_DATA = b"[DONE]"
NO_EVENT = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode = msgspec.json.Decoder(_Event).decode
_decode_all = msgspec.json.Decoder(list[_Event]).decode
SPOKEN = ("content", "text", "refusal")
RARER_WORDS = ("reasoning_content", "reasoning", "refusal")


class SaidText:
    """The words of one answer, of which those of one choice stand together however they came."""

    def __init__(self) -> None:
        self._raw = b""
        self._pending: list[bytes] = []
        self._new_bytes = 0
        self._words: dict[object, list[str]] = {}
        self._chars = 0

    def feed(self, piece: bytes) -> None:
        """Of a stream, as the upstream sent it."""
        self._pending.append(piece)
        self._new_bytes += len(piece)
        if self._new_bytes > PENDING_BYTES:
            self._read()

    def whole(self, raw: bytes) -> None:
        """An answer that came at once."""
        self._raw = raw

    @property
    def size(self) -> int:
        """About how many bytes of words there are."""
        if self._pending:
            self._read()
        return self._chars + sum(map(len, self._pending)) + len(self._raw)

    def join(self) -> None:
        """Each text is one string then, to be sent on: of its thousand pieces each has a cost."""
        self._note_rest()
        self._words = {place: ["".join(pieces)] for place, pieces in self._words.items()}

    def glance(self) -> list[str]:
        """All of the texts, or more: an answer's JSON, where its strings stand as they are."""
        if self._raw and b"\\" not in self._raw and not self._words and not self._pending:
            return [self._raw.decode("utf-8", "replace")]
        return self.texts()

    def texts(self) -> list[str]:
        self._note_rest()
        found = ["".join(pieces) for pieces in self._words.values()]
        return [*found, *_texts_of_whole(self._raw)] if self._raw else found

    def answers(self) -> list[str]:
        """What was said to whoever asked: no thoughts, no calls, no names of fields."""
        self._note_rest()
        found = ["".join(pieces) for place, pieces in self._words.items() if _is_spoken(place)]
        return [*found, *_answers_of_whole(self._raw)] if self._raw else found

    def _note_rest(self) -> None:
        """All that has come, also an event that has no end."""
        if not self._pending:
            return
        self._note(b"".join(self._pending))
        self._pending = []

    def _read(self) -> None:
        """The events that are whole; what follows waits."""
        raw = b"".join(self._pending)
        whole, end, rest = raw.rpartition(END)
        self._pending = [rest[-EVENT_MOST:]]
        self._new_bytes = 0
        if self._chars < WORDS_MOST:
            self._note(whole + end)

    def _note(self, events: bytes) -> None:
        try:
            heard = _decode_all(_list_of(events))
        except NO_EVENT:
            for data in _datas_of(events):
                self._add(_words_of_one(data))
        else:
            self._hear(heard)

    def _hear(self, events: Sequence[_Event]) -> None:
        """A generator for each event would take longer than to decode it."""
        index = -1
        pieces: list[str] = []
        for event in events:
            choices = event.choices
            if choices is None or len(choices) != 1 or event.delta is not None:
                self._add(_words_of_event(event))
                continue
            choice = choices[0]
            delta = choice.delta
            if (
                delta is None
                or choice.text is not None
                or choice.message is not None
                or delta.has_more
            ):
                self._add(_words_of_event(event))
                continue
            words = delta.content
            if not words:
                continue
            if choice.index != index:
                index = choice.index
                pieces = self._words.setdefault((index, "content"), [])
            pieces.append(words)
            self._chars += len(words)

    def _add(self, found: Iterable[tuple[object, str]]) -> None:
        """(which text they belong to, the words)."""
        for place, words in found:
            self._words.setdefault(place, []).append(words)
            self._chars += len(words)


def _datas_of(events: bytes) -> list[bytes]:
    return [data for data in map(data_of, events.split(END)) if data and data != DONE_DATA]


def _list_of(events: bytes) -> bytes:
    """As one JSON list, which is decoded in half the time."""
    objects = events.removesuffix(DONE)
    if count_of_objects(objects):
        return list_of_objects(objects)
    return b"[%b]" % b",".join(_datas_of(events))


def _words_of_one(data: bytes) -> Iterator[tuple[object, str]]:
    try:
        event = _decode(data)
    except NO_EVENT:
        yield "odd", data.decode("utf-8", "replace") + "\n"
        return
    yield from _words_of_event(event)


def _words_of_event(event: _Event) -> Iterator[tuple[object, str]]:
    if event.delta:
        yield "delta", event.delta
    for choice in event.choices or ():
        if choice.text:
            yield (choice.index, "text"), choice.text
        if choice.delta is not None:
            yield from _words_of_delta(choice.index, choice.delta)
        if choice.message is not None:
            yield from _words_of_delta(choice.index, choice.message)


def _words_of_delta(index: int, delta: _Delta) -> Iterator[tuple[object, str]]:
    if delta.content:
        yield (index, "content"), delta.content
    for name in RARER_WORDS:
        words = getattr(delta, name)
        if words:
            yield (index, name), words
    for call in delta.tool_calls or ():
        if call.function is not None and call.function.arguments:
            yield (index, call.index), call.function.arguments
        if call.custom is not None and call.custom.input:
            yield (index, call.index), call.custom.input
    if delta.function_call is not None and delta.function_call.arguments:
        yield (index, "function_call"), delta.function_call.arguments
    if delta.audio is not None and delta.audio.transcript:
        yield (index, "audio"), delta.audio.transcript
    for detail in delta.reasoning_details or ():
        for name in ("text", "summary"):
            words = getattr(detail, name)
            if words:
                yield (index, name, detail.index), words


def _is_spoken(place: object) -> bool:
    return place == "delta" or (isinstance(place, tuple) and place[1] in SPOKEN)


def _answers_of_whole(raw: bytes) -> list[str]:
    """Of chats, completions, Responses and Messages."""
    try:
        answer = msgspec.json.decode(raw, type=_Whole)
    except NO_EVENT:
        return []
    found = [choice.words() for choice in answer.choices or ()]
    blocks = [block for item in answer.output or () for block in item.content or ()]
    blocks += answer.content or ()
    found += [block.text or block.refusal or "" for block in blocks]
    return [words for words in found if words]


def _texts_of_whole(raw: bytes) -> list[str]:
    """Every string of it, however it is nested."""
    try:
        answer = msgspec.json.decode(raw)
    except UNREADABLE:
        return [raw.decode("utf-8", "replace")]
    return _strings_in(answer)


def _strings_in(answer: Any) -> list[str]:  # Any: JSON, as msgspec makes it
    found = []
    waiting = [[answer]]
    for values in waiting:
        for each in values:
            kind = type(each)
            if kind is str:
                found.append(each)
            elif kind is dict:
                waiting.append(each.values())
            elif kind is list:
                waiting.append(each)
    return found


class SeenTexts(msgspec.Struct):
    """`asked`: texts of the prompt, before a guard has taken anything out of them.

    `question`: the last of a user's, where the guard suspects it and its answer is to be judged.
    `is_searched`: for keys.
    """

    asked: list[str] = []
    said: SaidText = msgspec.field(default_factory=SaidText)
    question: str | None = None
    is_searched: bool = False

    @property
    def size(self) -> int:
        return sum(map(len, self.asked)) + self.said.size
