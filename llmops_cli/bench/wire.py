"""HTTP/1.1 as bytes: requests out, stamped pieces of a response in, server-sent events to tokens.

Deframing is incremental and cheap enough for the timed path; events are parsed after the response
has ended.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import islice
from operator import sub
from typing import Any

import msgspec

from llmops_cli.bench.failure import ErrorKind, RequestFailure, detailed_failure, plain_failure
from llmops_cli.core.histogram import keys_of

MOST_HEAD_BYTES = 1 << 16
MOST_ERROR = 200
"""Characters of an error that are kept."""


class ProtocolError(Exception):
    """The peer does not speak HTTP/1.1 as we read it."""


class Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Any] | None = None  # Any: as the server likes


class ChunkChoice(msgspec.Struct, gc=False):
    delta: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class Chunk(msgspec.Struct, gc=False):
    """What we read of a chat or completion chunk; everything else is skipped unparsed."""

    choices: list[ChunkChoice] | None = None
    usage: dict[str, Any] | None = None  # Any: servers add fields of their own
    error: Any = None  # Any: text, or an object of the server's own


_CHUNKS = msgspec.json.Decoder(list[Chunk])
_CHUNK = msgspec.json.Decoder(Chunk)


class HttpResponse:
    """One response as it arrives. `feed` returns True when it is complete."""

    __slots__ = (
        "_head",
        "_left",
        "_rest",
        "chunked",
        "first_byte_ns",
        "keep_alive",
        "payloads",
        "stamps",
        "status",
    )

    def __init__(self) -> None:
        self.status = 0
        self.keep_alive = True
        self.chunked = False
        self.first_byte_ns = 0
        self.payloads: list[bytes] = []
        self.stamps: list[int] = []
        self._head: bytes | None = b""
        self._left: int | None = None
        self._rest = b""

    def feed(self, at_ns: int, piece: bytes) -> bool:
        """Raises: ProtocolError."""
        if self.chunked and not self._rest:
            # the common case: exactly one whole chunk, of one event
            mark = piece.find(b"\r\n", 0, 12)
            if mark > 0:
                try:
                    size = int(piece[:mark], 16)
                except ValueError:
                    size = -1
                held = len(piece) - mark - 4  # without the size and two line ends
                if size > 0 and size == held:
                    self.payloads.append(piece[mark + 2 : -2])
                    self.stamps.append(at_ns)
                    return False
        if self._head is not None:
            return self._feed_head(at_ns, piece)
        return self._feed_body(at_ns, piece)

    def _feed_head(self, at_ns: int, piece: bytes) -> bool:
        self.first_byte_ns = self.first_byte_ns or at_ns
        raw = (self._head or b"") + piece
        end = raw.find(b"\r\n\r\n")
        if end < 0:
            if len(raw) > MOST_HEAD_BYTES:
                raise ProtocolError("a response head of over 64 KiB")
            self._head = raw
            return False
        status_line, *lines = raw[:end].split(b"\r\n")
        rest = raw[end + 4 :]
        self._read_status(status_line)
        if 100 <= self.status < 200:  # 100 Continue and kin announce the real head
            self._head = b""
            return self._feed_head(at_ns, rest) if rest else False
        self._head = None
        length = self._read_fields(lines)
        if self.chunked:
            length = None
        elif self.status in (204, 304):
            length = 0
        elif length is None:
            self.keep_alive = False  # the body lasts until the server closes
        self._left = length
        if not rest and length != 0:
            return False
        return self._feed_body(at_ns, rest)

    def _read_status(self, line: bytes) -> None:
        parts = line.split(b" ", 2)
        if len(parts) < 2:
            raise ProtocolError("the answer is not HTTP/1.1")
        version = parts[0]
        status = parts[1]
        if not version.startswith(b"HTTP/1.") or not status.isdigit():
            raise ProtocolError("the answer is not HTTP/1.1")
        self.status = int(status)
        self.keep_alive = version != b"HTTP/1.0"

    def _read_fields(self, lines: list[bytes]) -> int | None:
        """The Content-Length; what else matters of the head is kept."""
        length: int | None = None
        for line in lines:
            name, _, value = line.partition(b":")
            name = name.strip().lower()
            value = value.strip().lower()
            if name == b"transfer-encoding" and value.endswith(b"chunked"):
                self.chunked = True
            elif name == b"content-length" and value.isdigit():
                length = int(value)
            elif name == b"connection":
                self.keep_alive = value != b"close"
            elif name == b"content-encoding" and value not in (b"", b"identity"):
                encoding = value.decode(errors="replace")
                raise ProtocolError(f"the server compressed its answer ({encoding}) unasked")
        return length

    def _feed_body(self, at_ns: int, piece: bytes) -> bool:
        if not self.chunked:
            if piece:
                self.payloads.append(piece)
                self.stamps.append(at_ns)
            if self._left is None:
                return False
            self._left -= len(piece)
            return self._left <= 0
        raw = self._rest + piece if self._rest else piece
        at = 0
        while True:
            mark = raw.find(b"\r\n", at)
            if mark < 0:
                if len(raw) - at > 1024:
                    raise ProtocolError("broken chunked encoding")
                break
            try:
                digits, _, _extension = raw[at:mark].partition(b";")
                size = int(digits, 16)
            except ValueError:
                raise ProtocolError("broken chunked encoding") from None
            if size == 0:
                # trailers end with an empty line; usually the last chunk's own
                is_last = raw[mark + 2 : mark + 4] == b"\r\n"
                if is_last or raw.find(b"\r\n\r\n", mark) >= 0:
                    return True
                break
            end = mark + 2 + size
            if len(raw) < end + 2:
                break
            self.payloads.append(raw[mark + 2 : end])
            self.stamps.append(at_ns)
            at = end + 2
        self._rest = raw[at:]
        return False

    def closed(self) -> bool:
        """Whether the response is complete now that the server has closed the connection."""
        is_body = self._head is None
        ends_by_close = self._left is None and not self.chunked
        return is_body and ends_by_close


class Completion(msgspec.Struct, gc=False):
    """What the events of one response said. `stamps` are those of the chunks that carried text."""

    stamps: list[int] = []
    text: str = ""
    usage: dict[str, Any] = {}  # Any: see Chunk.usage
    finish_reason: str | None = None
    failure: RequestFailure | None = None


def parse_answer(response: HttpResponse) -> Completion:
    """The tokens of a streamed answer, or why it is none."""
    if response.status != 200:
        body = b"".join(response.payloads)
        reason = f"HTTP {response.status}: {error_text(body)}"
        return Completion(failure=RequestFailure(ErrorKind.HTTP, reason))
    events, stamps, done = _split_events(response.payloads, response.stamps)
    answer = Completion()
    if not events:
        body = b"".join(response.payloads)
        kind = ErrorKind.EMPTY
        if body.strip() and not done:
            kind = ErrorKind.NO_STREAM
        answer.failure = plain_failure(kind)
        return answer
    try:
        joined = b",".join(events)
        parsed = _CHUNKS.decode(b"[" + joined + b"]")
    except msgspec.DecodeError:
        parsed = _decode_one_by_one(events, answer)
    texts: list[str] = []
    for event, at_ns in zip(parsed, stamps, strict=True):
        if event.choices:
            choice = event.choices[0]
            text = _text_of(choice)
            if text:
                texts.append(text)
                answer.stamps.append(at_ns)
            if choice.finish_reason:
                answer.finish_reason = choice.finish_reason
        if event.usage:
            answer.usage = event.usage
        if event.error and answer.failure is None:
            answer.failure = _event_failure(event)
    answer.text = "".join(texts)
    if answer.failure is None:
        answer.failure = _missing(answer, done=done)
    return answer


def _event_failure(event: Chunk) -> RequestFailure:
    body = msgspec.json.encode({"error": event.error})
    return detailed_failure(ErrorKind.ERROR_EVENT, error_text(body))


def _text_of(choice: ChunkChoice) -> str | None:
    delta = choice.delta
    if delta is None:
        return choice.text
    text = delta.content or delta.reasoning_content or delta.reasoning
    if not text and delta.tool_calls:
        calls = msgspec.json.encode(delta.tool_calls)
        return calls.decode()
    return text


def _missing(answer: Completion, *, done: bool) -> RequestFailure | None:
    if not (done or answer.finish_reason):
        return plain_failure(ErrorKind.ENDED_EARLY)
    if not answer.stamps:
        return plain_failure(ErrorKind.NO_TEXT)
    return None


def _split_events(payloads: list[bytes], stamps: list[int]) -> tuple[list[bytes], list[int], bool]:
    """The data of each event and when its last byte came.

    True at the end if [DONE] was among them.
    """
    events: list[bytes] = []
    times: list[int] = []
    done = False
    rest = b""
    for payload, at_ns in zip(payloads, stamps, strict=True):
        if not rest and payload[:6] == b"data: " and payload.find(b"\n") == len(payload) - 2:
            data = payload[6:-2]
            if data == b"[DONE]":
                done = True
            else:
                events.append(data)
                times.append(at_ns)
            continue
        whole = (rest + payload).replace(b"\r\n", b"\n")
        *blocks, rest = whole.split(b"\n\n")
        for block in blocks:
            data = _event_data(block)
            if data == b"[DONE]":
                done = True
            elif data:
                events.append(data)
                times.append(at_ns)
    last = rest.strip().removeprefix(b"data:")
    if last.strip() == b"[DONE]":
        done = True
    return events, times, done


def _event_data(block: bytes) -> bytes:
    """The lines of data of one event, joined."""
    found = []
    for line in block.split(b"\n"):
        if line.startswith(b"data:"):
            data = line[5:].removeprefix(b" ")
            found.append(data)
    return b"\n".join(found).strip()


def _decode_one_by_one(events: list[bytes], answer: Completion) -> list[Chunk]:
    parsed = []
    for event in events:
        try:
            parsed.append(_CHUNK.decode(event))
        except msgspec.DecodeError:
            answer.failure = answer.failure or plain_failure(ErrorKind.MALFORMED)
            parsed.append(Chunk())
    return parsed


def gaps_of(stamps: list[int], tokens: int) -> tuple[float, ...]:
    """Time per token between chunks as a sparse histogram (core.record.Record.gaps).

    Where a chunk holds several tokens, its gap is spread over them by the usage count: n tokens in
    m chunks make each of the m - 1 gaps count for (n - 1) / (m - 1) tokens, so the mean is TPOT.
    """
    if len(stamps) < 2 or tokens < 2:
        return ()
    gaps = len(stamps) - 1
    each = (tokens - 1) / gaps
    gaps_ns = map(sub, islice(stamps, 1, None), stamps)
    scale = 1 / (1e6 * each)
    keys = keys_of(gaps_ns, scale)
    found: list[float] = []
    for key, count in Counter(keys).items():
        found.append(key)
        found.append(round(count * each, 6))
    return tuple(found)


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
    if not isinstance(loaded, dict):
        return raw[:MOST_ERROR].decode(errors="replace")
    error = None
    for name in ("error", "detail", "message"):
        if name in loaded:
            error = loaded[name]
            break
    if isinstance(error, dict) and "message" in error:
        error = error["message"]
    return str(error)[:MOST_ERROR]


def request_head(
    *,
    target: str,
    host: str,
    headers: tuple[tuple[str, str], ...],
    method: str = "POST",
    prefix: str = "",
) -> bytes:
    """Everything up to the Content-Length's number.

    `prefix` makes an absolute target, which proxies want.
    """
    lines = [
        f"{method} {prefix}{target} HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        "Accept: text/event-stream, application/json",
        "Accept-Encoding: identity",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join(lines).encode() + b"\r\n"
