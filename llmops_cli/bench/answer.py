"""What an answer said: its events or its one object, in the forms that servers have for them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from llmops_cli.bench.events import split_events
from llmops_cli.bench.failure import ErrorKind, RequestFailure, detailed_failure, plain_failure
from llmops_cli.bench.wire import HttpResponse

MOST_ERROR = 300
"""Characters of an error that are kept."""
FAILED_ENDS = {
    "abort": ErrorKind.ABORTED,
    "error": ErrorKind.ENDED_IN_ERROR,
    "content_filter": ErrorKind.FILTERED,
}
"""Reasons to finish that are none of a whole answer."""
PART_KEYS = ("text", "content", "refusal")
THOUGHT_KEYS = ("thinking", "reasoning")
THINK_BEGIN = "<think>"
THINK_END = "</think>"


class Delta(msgspec.Struct, gc=False):
    """A piece of a message, or all of it. Any: texts, or lists of parts, as the server likes."""

    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    thinking: Any = None
    tool_calls: list[Any] | None = None


class ChunkChoice(msgspec.Struct, gc=False):
    delta: Delta | None = None
    message: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    error: Any = None  # Any: as in Chunk


class Chunk(msgspec.Struct, gc=False):
    """What we read of a chat or completion chunk; everything else is skipped unparsed."""

    choices: list[ChunkChoice] | None = None
    usage: dict[str, Any] | None = None  # Any: servers add fields of their own
    error: Any = None  # Any: text, or an object of the server's own
    object: Any = None  # Any, three times: only an error's are read
    message: Any = None
    detail: Any = None


_CHUNKS = msgspec.json.Decoder(list[Chunk])
_CHUNK = msgspec.json.Decoder(Chunk)


class Completion(msgspec.Struct, gc=False):
    """What the events of one response said.

    `stamps` are those of the chunks that carried text, `said` is the text without what was thought
    aloud, `thought` whether some was. `is_stream` False: it came as one object.
    """

    stamps: list[int] = []
    text: str = ""
    said: str = ""
    thought: bool = False
    is_stream: bool = True
    usage: dict[str, Any] = {}  # Any: see Chunk.usage
    finish_reason: str | None = None
    failure: RequestFailure | None = None


class Piece(NamedTuple):
    """The texts of one delta."""

    said: str
    thought: str
    calls: str = ""


def parse_answer(response: HttpResponse) -> Completion:
    """The tokens of an answer, or why it is none."""
    if response.status != 200:
        return Completion(failure=_refusal(response))
    events, stamps, done = split_events(response.payloads, response.stamps)
    answer = Completion()
    if not events:
        return _whole_answer(response, done=done)
    parsed = _decoded(events, answer)
    texts: list[str] = []
    said: list[str] = []
    for event, at_ns in zip(parsed, stamps, strict=True):
        _read(event, at_ns, answer, texts, said)
    _settle(answer, texts, said, done=done)
    return answer


def _refusal(response: HttpResponse) -> RequestFailure:
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
        whole = _CHUNK.decode(body)
    except msgspec.DecodeError:
        whole = Chunk()
    error = _error_of(whole)
    if not whole.choices and error is None:
        answer.failure = plain_failure(ErrorKind.NO_STREAM)
        return answer
    texts: list[str] = []
    said: list[str] = []
    _read(whole, response.stamps[-1], answer, texts, said)
    _settle(answer, texts, said, done=True)
    return answer


def _read(
    event: Chunk,
    at_ns: int,
    answer: Completion,
    texts: list[str],
    said: list[str],
) -> None:
    if event.choices:
        choice = event.choices[0]
        piece = _piece_of(choice)
        text = piece.thought + piece.said + piece.calls
        if text:
            texts.append(text)
            said.append(piece.said)
            answer.stamps.append(at_ns)
        if piece.thought:
            answer.thought = True
        if choice.finish_reason:
            answer.finish_reason = choice.finish_reason
        if choice.error and answer.failure is None:
            answer.failure = _event_failure(choice.error)
    if event.usage:
        answer.usage = event.usage
    error = _error_of(event)
    if error is not None and answer.failure is None:
        answer.failure = _event_failure(error)


def _settle(
    answer: Completion,
    texts: list[str],
    said: list[str],
    *,
    done: bool,
) -> None:
    answer.text = "".join(texts)
    answer.said = _without_thoughts("".join(said))
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


def _piece_of(choice: ChunkChoice) -> Piece:
    delta = choice.delta or choice.message
    if delta is None:
        return Piece(choice.text or "", "")
    said = delta.content
    thought = delta.reasoning_content or delta.reasoning or delta.thinking
    if isinstance(said, str) and not thought and not delta.tool_calls:
        return Piece(said or words_of(delta.refusal), "")
    calls = ""
    if delta.tool_calls:
        encoded = msgspec.json.encode(delta.tool_calls)
        calls = encoded.decode()
    spoken = "".join(_spoken(said)) or words_of(delta.refusal)
    inner = words_of(thought) or "".join(_thoughts_in(said))
    return Piece(spoken, inner, calls)


def _spoken(content: object) -> Iterator[str]:
    """The texts of a message's content, which may be a list of parts."""
    parts = content if isinstance(content, list) else [content]
    for part in parts:
        if not _is_thought(part):
            yield words_of(part)


def _thoughts_in(content: object) -> Iterator[str]:
    parts = content if isinstance(content, list) else [content]
    for part in parts:
        if _is_thought(part):
            yield words_of(part)


def _is_thought(part: object) -> bool:
    return isinstance(part, dict) and any(key in part for key in THOUGHT_KEYS)


def words_of(value: object) -> str:
    """The text of a text, of a part, or of a list of them."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(words_of, value))
    if isinstance(value, dict):
        for key in (*PART_KEYS, *THOUGHT_KEYS):
            if value.get(key):
                return words_of(value[key])
    return ""


def _error_of(event: Chunk) -> object | None:
    """The error that an event is, in one of the forms of the field."""
    said: object | None = event.error or None
    if said is None and not event.choices:
        said = event.detail or None
        if event.object == "error":
            said = event.message or event.object
    return said


def _event_failure(error: object) -> RequestFailure:
    body = msgspec.json.encode({"error": error})
    return detailed_failure(ErrorKind.ERROR_EVENT, error_text(body))


def _decoded(events: list[bytes], answer: Completion) -> list[Chunk]:
    joined = b",".join(events)
    try:
        return _CHUNKS.decode(b"[" + joined + b"]")
    except msgspec.DecodeError:
        return _decode_one_by_one(events, answer)


def _decode_one_by_one(events: list[bytes], answer: Completion) -> list[Chunk]:
    parsed = []
    for event in events:
        try:
            parsed.append(_CHUNK.decode(event))
        except msgspec.DecodeError:
            answer.failure = answer.failure or plain_failure(ErrorKind.MALFORMED)
            parsed.append(Chunk())
    return parsed


def text_digest(text: str) -> str:
    encoded = text.encode(errors="surrogatepass")
    digest = hashlib.sha256(encoded)
    return digest.hexdigest()[:16]


def error_text(raw: bytes) -> str:
    """The message inside an error body, or its beginning."""
    try:
        loaded = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return raw[:MOST_ERROR].decode(errors="replace")
    if isinstance(loaded, list) and loaded:  # as Gemini wraps them
        loaded = loaded[0]
    if not isinstance(loaded, dict):
        return raw[:MOST_ERROR].decode(errors="replace")
    error: object = loaded
    for name in ("error", "detail", "message"):
        if loaded.get(name):
            error = loaded[name]
            break
    if isinstance(error, dict) and error.get("message"):
        error = error["message"]
    if not isinstance(error, str):
        error = msgspec.json.encode(error).decode()
    return error[:MOST_ERROR]
