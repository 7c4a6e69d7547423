"""Why a request failed: a kind to count and decide by, and what was seen."""

from __future__ import annotations

import errno
import ssl
from enum import StrEnum

import msgspec


class ErrorKind(StrEnum):
    """The values are what a report counts failed requests by; `HTTP` ones by their status too."""

    HTTP = "HTTP"
    REFUSED = "connection refused"
    RESET = "connection reset"
    CONNECT_TIMEOUT = "connection timed out"
    CLOSED_EARLY = "connection closed before any answer"
    CLOSED_INSIDE = "connection closed in the middle of the answer"
    UNTRUSTED = "certificate not trusted"
    TLS = "TLS failed"
    OPEN_FILES = "too many open files"
    CONNECTION = "connection failed"
    TIMEOUT = "timeout"
    PROTOCOL = "protocol"
    NO_STREAM = "the answer is no event stream"
    EMPTY = "an empty answer"
    NO_TEXT = "no text in the answer"
    NO_VECTORS = "not a vector for each text"
    ENDED_EARLY = "the stream ended early"
    MALFORMED = "a malformed event"
    ERROR_EVENT = "error event"
    ABORTED = "finish_reason abort"
    ENDED_IN_ERROR = "finish_reason error"
    FILTERED = "finish_reason content_filter"


class RequestFailure(msgspec.Struct, frozen=True):
    """`kind` decides, `text` is read."""

    kind: ErrorKind
    text: str


_BY_ERRNO = {
    errno.ECONNREFUSED: ErrorKind.REFUSED,
    errno.ECONNRESET: ErrorKind.RESET,
    errno.EPIPE: ErrorKind.RESET,
    errno.ETIMEDOUT: ErrorKind.CONNECT_TIMEOUT,
    errno.EMFILE: ErrorKind.OPEN_FILES,
    errno.ENFILE: ErrorKind.OPEN_FILES,
}


def plain_failure(kind: ErrorKind) -> RequestFailure:
    """A failure that its kind says in full."""
    return RequestFailure(kind, kind.value)


def detailed_failure(kind: ErrorKind, detail: str) -> RequestFailure:
    """A failure with what was seen of it."""
    return RequestFailure(kind, f"{kind.value}: {detail}")


def connection_failure(error: OSError) -> RequestFailure:
    """Why a connection could not be made, or broke."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return detailed_failure(ErrorKind.UNTRUSTED, error.verify_message)
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        return detailed_failure(ErrorKind.TLS, reason)
    kind = _BY_ERRNO.get(error.errno or 0)
    if kind is None:
        reason = error.strerror or str(error)
        return detailed_failure(ErrorKind.CONNECTION, reason)
    return plain_failure(kind)


def closed_failure(*, before_any_answer: bool) -> RequestFailure:
    """The server closed the connection of a request."""
    if before_any_answer:
        return plain_failure(ErrorKind.CLOSED_EARLY)
    return plain_failure(ErrorKind.CLOSED_INSIDE)


def timeout_failure(timeout_s: float) -> RequestFailure:
    return detailed_failure(ErrorKind.TIMEOUT, f"no end within {timeout_s:g} s")
