"""Why an upstream gave no answer. What is decided on is the type; the words are for people."""

from __future__ import annotations


class UpstreamError(Exception):
    """No answer, or half of one."""


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
    def __init__(self) -> None:
        super().__init__("the answer took too long")


class ConnectFailed(UpstreamError):
    def __init__(self, why: object) -> None:
        super().__init__(f"the upstream cannot be reached: {why}")


class ConnectionLost(UpstreamError):
    """In the middle of an answer, or before it."""

    def __init__(self, why: Exception | None) -> None:
        if why is None:
            super().__init__("the connection was closed")
        else:
            super().__init__(f"the connection broke: {why}")


class UpstreamDown(UpstreamError):
    """Its checks failed while it was waited for."""

    def __init__(self) -> None:
        super().__init__("the upstream is down")


class MalformedAnswer(UpstreamError):
    def __init__(self, why: object) -> None:
        super().__init__(f"malformed answer: {why}")
