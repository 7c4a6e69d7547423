"""Why an upstream gave no answer. What is decided on is the type; the words are for people."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from enum import StrEnum

OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL)
"""This machine has no file, memory or port left to connect with."""


SAID_CHARS = 256
"""Of a failure's words: some are the upstream's own."""


class Blame(StrEnum):
    """Whose doing a failure is. Only what is the upstream's own counts against it."""

    UPSTREAM = "upstream"
    CLIENT = "client"
    GATEWAY = "gateway"


class UpstreamError(Exception):
    """No answer, or half of one."""

    blame: Blame = Blame.UPSTREAM

    def __init__(self, said: str) -> None:
        super().__init__(said[:SAID_CHARS])


class UpstreamTimeout(UpstreamError):
    """It took too long, and would again."""


class ConnectTimeout(UpstreamTimeout):
    def __init__(self) -> None:
        super().__init__("the upstream cannot be reached: it does not accept connections")


class FirstByteTimeout(UpstreamTimeout):
    def __init__(self) -> None:
        super().__init__("the upstream did not answer in time")


class ReadTimeout(UpstreamTimeout):
    """Nothing came for too long in the middle of an answer."""

    def __init__(self) -> None:
        super().__init__("the upstream stalled")


class TotalTimeout(UpstreamTimeout):
    """`blame`: the client's if it read so slowly that the upstream had to wait for it."""

    def __init__(self, blame: Blame = Blame.UPSTREAM) -> None:
        super().__init__("the answer took too long")
        self.blame = blame


class ClientDeadline(UpstreamTimeout):
    """The client's own limit, which says nothing of the upstream."""

    blame = Blame.CLIENT

    def __init__(self) -> None:
        super().__init__("there was no answer within the client's own x-llmops-timeout-ms")


class ConnectFailed(UpstreamError):
    """Its address is for the operator's eyes, and stands in no message."""

    def __init__(self, why: OSError) -> None:
        super().__init__(f"the upstream cannot be reached: {_reason(why)}")
        if why.errno in OURS:
            self.blame = Blame.GATEWAY


def _reason(why: OSError) -> str:
    if isinstance(why, ssl.SSLCertVerificationError):
        return "its certificate is not trusted"
    if isinstance(why, ssl.SSLError):
        return "it speaks no TLS that we know"
    if isinstance(why, socket.gaierror):
        return "its name has no address"
    if why.errno:
        return os.strerror(why.errno)
    return "none of its addresses answers"


class ConnectionLost(UpstreamError):
    """In the middle of an answer, or before it."""

    def __init__(self, why: Exception | None = None) -> None:
        if why is None:
            super().__init__("the connection was closed")
        else:
            super().__init__(f"the connection broke: {why}")


class KeptConnectionLost(ConnectionLost):
    """One that was kept from an earlier answer had ended meanwhile, as they do."""

    blame = Blame.GATEWAY


class BodyRefused(ConnectionLost):
    """It hung up on a large body: some say so what is too large for them."""

    blame = Blame.CLIENT


class UpstreamDown(UpstreamError):
    """Its checks failed while it was waited for."""

    def __init__(self) -> None:
        super().__init__("the upstream is down")


class MalformedAnswer(UpstreamError):
    def __init__(self, why: object) -> None:
        super().__init__(f"malformed answer: {why}")


class AnswerTooLarge(UpstreamError):
    """Whole answers have a bound here, which is no fault of who was asked for so much."""

    blame = Blame.GATEWAY

    def __init__(self, most: int) -> None:
        super().__init__(f"the answer has more than {most:,} bytes; ask for less at once")


class EndedEarly(UpstreamError):
    """A stream that closed in good order and was not at its end."""

    def __init__(self) -> None:
        super().__init__("the stream ended early")


class ErrorInStream(UpstreamError):
    """An error told under a status of 200. `status`: what it says of itself, 500 if nothing.

    `said`: the event's data.
    """

    def __init__(self, status: int, said: bytes) -> None:
        super().__init__("the upstream told an error under a status of 200")
        self.status = status
        self.said = said
