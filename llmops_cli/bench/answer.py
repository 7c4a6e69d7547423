"""What an answer said, and when: its events, or its one object where a server does not stream."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from llmops_cli.bench.chunks import (
    MOST_ERROR,
    Chunk,
    ChunkChoice,
    error_of,
    error_text,
    piece_of,
)
from llmops_cli.bench.events import split_events
from llmops_cli.bench.failure import ErrorKind, RequestFailure, detailed_failure, plain_failure
from llmops_cli.core.cut_characters import with_whole_characters
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.runtime.wire import HttpResponse

FAILED_ENDS = {
    "abort": ErrorKind.ABORTED,
    "error": ErrorKind.ENDED_IN_ERROR,
    "content_filter": ErrorKind.FILTERED,
}
"""Reasons to finish that are none of a whole answer."""
THINK_BEGIN = "<think>"
THINK_END = "</think>"


class PlainDelta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class PlainChoice(msgspec.Struct, gc=False):
    delta: PlainDelta | None = None
    text: str | None = None
    finish_reason: str | None = None


class PlainChunk(msgspec.Struct, gc=False):
    """A chunk as nearly all are. One without text is read again, as a Chunk."""

    choices: list[PlainChoice] | None = None
    usage: dict[str, Any] | None = None  # Any, twice: see Chunk
    error: Any = None


_PLAIN = msgspec.json.Decoder(list[PlainChunk])
_CHUNK = msgspec.json.Decoder(Chunk)


class Completion(msgspec.Struct, gc=False):
    """What the events of one response said.

    `stamps` are those of the chunks that carried text, `said` is the text without what was thought
    aloud, `thought` whether some was. `is_stream` False: it came as one object. `vectors`: how many
    it has, where they were asked for.
    """

    stamps: list[int] = []
    text: str = ""
    said: str = ""
    thought: bool = False
    is_stream: bool = True
    vectors: int = 0
    usage: dict[str, Any] = {}  # Any: see Chunk.usage
    finish_reason: str | None = None
    failure: RequestFailure | None = None


def parse_answer(response: HttpResponse) -> Completion:
    """The tokens of an answer, or why it is none."""
    if response.status != 200:
        return Completion(failure=refusal_of(response))
    events, stamps, done = split_events(response.payloads, response.stamps)
    if not events:
        return _whole_answer(response, done=done)
    answer = Completion()
    told = _Told(answer)
    for event, plain, at_ns in zip(events, _plain_chunks(events), stamps, strict=True):
        if plain is None or not told.plain(plain, at_ns):
            told.read(event, at_ns)
    told.settle(done=done)
    return answer


def _plain_chunks(events: list[bytes]) -> Sequence[PlainChunk | None]:
    """All in one go, which is cheap; None each where one of them is of another form."""
    joined = b",".join(events)
    try:
        return _PLAIN.decode(b"[" + joined + b"]")
    except UNREADABLE:
        return [None] * len(events)


def _chunk_of(raw: bytes) -> Chunk:
    """Some servers cut a character between two tokens: the rest of what they say is read.

    Raises: one of UNREADABLE.
    """
    try:
        return _CHUNK.decode(raw)
    except (UnicodeDecodeError, msgspec.DecodeError):  # by versions of msgspec
        return _CHUNK.decode(with_whole_characters(raw))


def refusal_of(response: HttpResponse) -> RequestFailure:
    """In the server's own words."""
    body = b"".join(response.payloads)
    words = error_text(body)
    if response.location:
        place = response.location.decode(errors="replace")
        words = f"moved to {place}"
    return RequestFailure(ErrorKind.HTTP, f"HTTP {response.status}: {words}")


def _whole_answer(response: HttpResponse, *, done: bool) -> Completion:
    """Of a server that did not stream: one object, known when its last byte came."""
    body = b"".join(response.payloads)
    answer = Completion(is_stream=False)
    if done or not body.strip():
        answer.failure = plain_failure(ErrorKind.EMPTY)
        return answer
    try:
        whole = _chunk_of(body)
    except UNREADABLE:
        whole = Chunk()
    if not whole.choices and error_of(whole) is None:
        answer.failure = plain_failure(ErrorKind.NO_STREAM)
        return answer
    told = _Told(answer)
    try:
        told.chunk(whole, response.stamps[-1])
    except RecursionError:
        answer.failure = plain_failure(ErrorKind.MALFORMED)
    told.settle(done=True)
    return answer


class _Told:
    """The texts of an answer as its events are read."""

    def __init__(self, answer: Completion) -> None:
        self._answer = answer
        self._texts: list[str] = []
        self._said: list[str] = []

    def plain(self, event: PlainChunk, at_ns: int) -> bool:
        """False for an event without text, which may be anything, and for one with an error."""
        if not event.choices or event.error:
            return False
        choice = event.choices[0]
        delta = choice.delta
        thought = None
        said = choice.text
        if delta is not None:
            thought = delta.reasoning_content or delta.reasoning
            said = delta.content
        if bool(said) == bool(thought):  # both are rare, and none is no text
            return False
        if said:
            self._said.append(said)
        else:
            self._answer.thought = True
        self._texts.append(said or thought or "")
        self._answer.stamps.append(at_ns)
        if choice.finish_reason:
            self._answer.finish_reason = choice.finish_reason
        if event.usage:
            self._answer.usage = event.usage
        return True

    def read(self, event: bytes, at_ns: int) -> None:
        try:
            self.chunk(_chunk_of(event), at_ns)
        except UNREADABLE:
            words = event[:MOST_ERROR].decode(errors="replace")
            self._fail(detailed_failure(ErrorKind.MALFORMED, words))

    def chunk(self, event: Chunk, at_ns: int) -> None:
        answer = self._answer
        if event.choices:
            self._choice(event.choices[0], at_ns)
        if event.usage:
            answer.usage = event.usage
        error = error_of(event)
        if error is not None:
            self._fail(_event_failure(error))

    def _choice(self, choice: ChunkChoice, at_ns: int) -> None:
        answer = self._answer
        piece = piece_of(choice)
        text = piece.thought + piece.said + piece.calls
        if text:
            self._texts.append(text)
            self._said.append(piece.said)
            answer.stamps.append(at_ns)
        if piece.thought:
            answer.thought = True
        if choice.finish_reason:
            answer.finish_reason = choice.finish_reason
        if choice.error:
            self._fail(_event_failure(choice.error))

    def _fail(self, failure: RequestFailure) -> None:
        """The first reason is the one that counts."""
        self._answer.failure = self._answer.failure or failure

    def settle(self, *, done: bool) -> None:
        """After the last event. `done`: the server has said that it is."""
        answer = self._answer
        answer.text = "".join(self._texts)
        answer.said = _without_thoughts("".join(self._said))
        if answer.failure is not None:
            return
        ending = str(answer.finish_reason).lower()
        if ending in FAILED_ENDS:
            answer.failure = plain_failure(FAILED_ENDS[ending])
        elif not (done or answer.finish_reason):
            answer.failure = plain_failure(ErrorKind.ENDED_EARLY)
        elif not answer.stamps:
            answer.failure = plain_failure(ErrorKind.NO_TEXT)


def _without_thoughts(text: str) -> str:
    """What models without a parser of their own think stands in their text, in tags."""
    before, mark, after = text.rpartition(THINK_END)
    if mark:
        return after.lstrip()
    if after.lstrip().startswith(THINK_BEGIN):
        return before
    return text


def _event_failure(error: object) -> RequestFailure:
    body = msgspec.json.encode({"error": error})
    return detailed_failure(ErrorKind.ERROR_EVENT, error_text(body))


def text_digest(text: str) -> str:
    encoded = text.encode(errors="surrogatepass")
    digest = hashlib.sha256(encoded)
    return digest.hexdigest()[:16]


MOST_TOKENS = 10**9
"""Of one request; a server that says more counts something else."""


def told_count(value: object) -> int | None:
    """A number of tokens as a server says it; None for what is none, such as -1 or a text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= MOST_TOKENS else None
