"""HTTP/1.1 as bytes: requests out, stamped pieces of a response in.

Deframing is incremental and cheap enough for a timed path; what the pieces say is read by those
who asked, after the response has ended.
"""

from __future__ import annotations

import re

MOST_HEAD_BYTES = 1 << 16
MOST_SIZE_LINE = 1024
END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
"""Some servers end their lines without a CR (RFC 9112, section 2.2)."""
STATUS = re.compile(rb"\d{3}")
LENGTH = re.compile(rb"\d{1,18}")
HEX_DIGITS = frozenset(b"0123456789abcdefABCDEF")


class ProtocolError(Exception):
    """The peer does not speak HTTP/1.1 as we read it."""


class HttpResponse:
    """One response as it arrives. `feed` returns True when it is complete."""

    __slots__ = (
        "_head",
        "_left",
        "_rest",
        "chunked",
        "fields",
        "first_byte_ns",
        "keep_alive",
        "location",
        "payloads",
        "stamps",
        "status",
    )

    def __init__(self) -> None:
        self.status = 0
        self.keep_alive = True
        self.chunked = False
        self.location = b""
        self.fields: list[bytes] = []
        """Lines of the head, as they came."""
        self.first_byte_ns = 0
        self.payloads: list[bytes] = []
        self.stamps: list[int] = []
        self._head: bytes | None = b""
        self._left: int | None = None
        self._rest = bytearray()

    def feed(self, at_ns: int, piece: bytes) -> bool:
        """Raises: ProtocolError."""
        if self.chunked and not self._rest:
            # the common case: exactly one whole chunk, of one event
            mark = piece.find(b"\r\n", 0, 12)
            held = len(piece) - mark - 4  # without the size and two line ends
            if mark > 0 and held > 0 and b"%x" % held == piece[:mark].lower():
                self.payloads.append(piece[mark + 2 : -2])
                self.stamps.append(at_ns)
                return False
        if self._head is not None:
            return self._feed_head(at_ns, piece)
        return self._feed_body(at_ns, piece)

    def _feed_head(self, at_ns: int, piece: bytes) -> bool:
        self.first_byte_ns = self.first_byte_ns or at_ns
        rest = (self._head or b"") + piece
        while True:
            found = END_OF_HEAD.search(rest)
            if found is None:
                if len(rest) > MOST_HEAD_BYTES:
                    raise ProtocolError("a response head of over 64 KiB")
                self._head = rest
                return False
            status_line, *lines = rest[: found.start()].splitlines() or [b""]
            rest = rest[found.end() :]
            self._read_status(status_line)
            if not 100 <= self.status < 200:  # 100 Continue and kin announce the real head
                break
        self._head = None
        self.fields = lines
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
        if not version.startswith(b"HTTP/1.") or not STATUS.fullmatch(status):
            raise ProtocolError("the answer is not HTTP/1.1")
        self.status = int(status)
        self.keep_alive = version != b"HTTP/1.0"

    def _read_fields(self, lines: list[bytes]) -> int | None:
        """The Content-Length; what else matters of the head is kept."""
        length: int | None = None
        for line in lines:
            name, _, value = line.partition(b":")
            name = name.strip().lower()
            if name == b"location":
                self.location = value.strip()
            value = value.strip().lower()
            if name == b"transfer-encoding" and value.endswith(b"chunked"):
                self.chunked = True
            elif name == b"content-length":
                if not LENGTH.fullmatch(value):
                    raise ProtocolError("a Content-Length that is no number")
                length = int(value)
            elif name == b"connection":
                self.keep_alive = value != b"close"
            elif name == b"content-encoding" and value not in (b"", b"identity"):
                encoding = value.decode(errors="replace")
                raise ProtocolError(f"the server compressed its answer ({encoding}) unasked")
        return length

    def _feed_body(self, at_ns: int, piece: bytes) -> bool:
        if self.chunked:
            return self._feed_chunks(at_ns, piece)
        if piece:
            self.payloads.append(piece)
            self.stamps.append(at_ns)
        if self._left is None:
            return False
        self._left -= len(piece)
        if self._left < 0:
            self.payloads[-1] = piece[: self._left]
            self.keep_alive = False  # what else came is none of this answer
        return self._left <= 0

    def _feed_chunks(self, at_ns: int, piece: bytes) -> bool:
        raw: bytes | bytearray = piece
        if self._rest:
            self._rest += piece
            raw = self._rest
        at = 0
        while True:
            mark = raw.find(b"\r\n", at)
            if mark < 0:
                if len(raw) - at > MOST_SIZE_LINE:
                    raise ProtocolError("broken chunked encoding")
                break
            size = chunk_size(bytes(raw[at:mark]))
            if size == 0:
                if self._has_ended(raw, mark):
                    return True
                break
            end = mark + 2 + size
            if len(raw) < end + 2:
                break
            self.payloads.append(bytes(raw[mark + 2 : end]))
            self.stamps.append(at_ns)
            at = end + 2
        if raw is self._rest:
            del self._rest[:at]
        else:
            self._rest += raw[at:]
        return False

    def _has_ended(self, raw: bytes | bytearray, mark: int) -> bool:
        """Whether the trailers are there: they end with an empty line, usually the chunk's own."""
        end = raw.find(b"\r\n\r\n", mark)
        if end < 0:
            if len(raw) - mark > MOST_HEAD_BYTES:
                raise ProtocolError("trailers of over 64 KiB")
            return False
        if len(raw) > end + 4:
            self.keep_alive = False  # what else came is none of this answer
        return True

    def closed(self) -> bool:
        """Whether the response is complete now that the server has closed the connection."""
        is_body = self._head is None
        ends_by_close = self._left is None and not self.chunked
        return is_body and ends_by_close


def chunk_size(line: bytes) -> int:
    """Of the line before a chunk. Raises: ProtocolError."""
    digits, _, _extension = line.partition(b";")
    digits = digits.strip(b" \t")
    if not digits or not HEX_DIGITS.issuperset(digits):
        raise ProtocolError("broken chunked encoding")
    return int(digits, 16)


def headers_in(fields: list[bytes]) -> dict[str, str]:
    """Headers by their names in small letters; the last one of a name counts."""
    found = {}
    for line in fields:
        name, _, value = line.partition(b":")
        found[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
    return found


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
