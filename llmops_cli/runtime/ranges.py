"""Parts of a file on a web server (RFC 9110, section 14), from the host that was named alone."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, urljoin, urlsplit

PATIENCE_S = 15.0
"""For each answer of the server's socket."""
MOST_S = 120.0
"""For all of a file's pieces together: a server that drips does not keep us."""
MOST_REDIRECTS = 3
LARGEST_BYTES = 1 << 50
_RANGE = re.compile(r"bytes (\d{1,16})-(\d{1,16})/(\d{1,16})")
_CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f]")


class RangeError(Exception):
    """What is wrong with the address or the server, in a few words, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint or "download it, and name the file"


Taken = Callable[[http.client.HTTPResponse], bytes]
"""What is read of an answer that is no redirect."""


class RangeReader:
    """One connection. `size_bytes`: of the whole file, 0 before the first piece."""

    def __init__(self, url: str) -> None:
        self._parts = _checked(url)
        self._url = url
        self._connection: http.client.HTTPConnection | None = None
        self._tag: str | None = None
        self.size_bytes = 0
        self._alarm = threading.Timer(MOST_S, self._give_up)
        self._alarm.daemon = True
        self._is_late = False

    def __enter__(self) -> Self:
        self._alarm.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._alarm.cancel()
        self._close()

    def read(self, begin: int, count_bytes: int) -> bytes:
        """Exactly those bytes; fewer only at the end of the file. Raises: RangeError."""
        asked = f"bytes={begin}-{begin + count_bytes - 1}"
        return self._guarded(asked, lambda answer: self._body(answer, begin, count_bytes))

    def read_whole(self, most_bytes: int) -> bytes:
        """A small file, from a server that need not know ranges. Raises: RangeError."""
        return self._guarded(None, lambda answer: _whole(answer, most_bytes))

    def _guarded(self, asked: str | None, taken: Taken) -> bytes:
        try:
            return self._read(asked, taken)
        except (RangeError, OSError, http.client.HTTPException, ValueError) as error:
            if self._is_late:  # a connection that is shut ends headers as if they were whole
                raise RangeError(f"it took longer than {MOST_S:g} s") from None
            if isinstance(error, RangeError):
                raise
            raise RangeError(_reason(error)) from None

    def _read(self, asked: str | None, taken: Taken) -> bytes:
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._asked(asked)
            if answer.status not in {301, 302, 303, 307, 308}:
                return taken(answer)
            self._follow(answer.getheader("Location") or "")
        raise RangeError("it redirects in a circle")

    def _asked(self, wanted: str | None) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = _connection(self._parts)
            self._connection.connect()
        if self._is_late:
            raise TimeoutError
        path = self._parts.path or "/"
        target = f"{path}?{self._parts.query}" if self._parts.query else path
        headers = {"Accept-Encoding": "identity", "User-Agent": "llmops"}
        if wanted is not None:
            headers["Range"] = wanted
        self._connection.request("GET", target, headers=headers)
        return self._connection.getresponse()

    def _follow(self, place: str) -> None:
        """Raises: RangeError for another host, which nobody has named."""
        self._close()
        parts = urlsplit(urljoin(self._url, place))
        if (parts.scheme, parts.netloc) != (self._parts.scheme, self._parts.netloc):
            raise RangeError(
                f"it redirects to another host ({_plain(parts.netloc)})",
                hint="name the file's address there, if you trust it",
            )
        self._url = parts.geturl()
        self._parts = _checked(self._url)

    def _body(self, answer: http.client.HTTPResponse, begin: int, count_bytes: int) -> bytes:
        if answer.status == 200:
            raise RangeError("the server does not answer requests for ranges")
        if answer.status != 206:
            raise RangeError(f"the server answers {answer.status}")
        if answer.getheader("Content-Encoding", "identity") != "identity":
            raise RangeError("the server packs what it sends")
        end = self._checked_end(answer, begin, count_bytes)
        raw = answer.read(end - begin)
        if len(raw) != end - begin:
            raise RangeError("the server sends less than it says")
        if not answer.isclosed():
            self._close()
        return raw

    def _checked_end(
        self,
        answer: http.client.HTTPResponse,
        begin: int,
        count_bytes: int,
    ) -> int:
        """Where the range ends, of the file that was read before."""
        told = _RANGE.fullmatch(answer.getheader("Content-Range") or "")
        if told is None:
            raise RangeError("the server does not say which range it sends")
        first, last, size_bytes = (int(number) for number in told.groups())
        end = min(begin + count_bytes, size_bytes)
        if (first, last + 1) != (begin, end) or size_bytes > LARGEST_BYTES:
            raise RangeError("the server sends another range")
        tag = answer.getheader("ETag")
        if self.size_bytes and (self.size_bytes, self._tag) != (size_bytes, tag):
            raise RangeError("the file has changed meanwhile", hint="try again")
        self.size_bytes = size_bytes
        self._tag = tag
        return end

    def _give_up(self) -> None:
        """From the alarm's thread: whoever waits for the socket gets an error."""
        self._is_late = True
        connection = self._connection
        if connection is not None and connection.sock is not None:
            _shut(connection.sock)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _checked(url: str) -> SplitResult:
    """Raises: RangeError for what is no address of a web server."""
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        has_host = False
    if not has_host or parts.scheme not in {"http", "https"} or _CONTROL.search(url):
        raise RangeError("it is no http(s) address", hint="https://HOST/PATH/MODEL.gguf")
    return parts


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    assert parts.hostname is not None
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=PATIENCE_S)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_S)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {PATIENCE_S:g} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, http.client.HTTPException):
        return "the server does not speak HTTP"
    return _plain(str(error)) or type(error).__name__


def _plain(text: str) -> str:
    return _CONTROL.sub("?", text)[:80]


def _whole(answer: http.client.HTTPResponse, most_bytes: int) -> bytes:
    if answer.status != 200:
        raise RangeError(f"the server answers {answer.status}")
    if answer.getheader("Content-Encoding", "identity") != "identity":
        raise RangeError("the server packs what it sends")
    raw = answer.read(most_bytes + 1)
    if len(raw) > most_bytes:
        raise RangeError(f"it is longer than {most_bytes >> 10:,} KiB")
    return raw
