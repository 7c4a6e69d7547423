"""How the gateway says no."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

Header = tuple[bytes, bytes]
Headers = list[Header]
MESSAGE_CHARS = 1000
"""Whatever of a body, or of an upstream's words, a message may repeat."""


class Refusal(Exception):
    """An answer of the gateway's own, in OpenAI's form."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        headers: Headers | None = None,
    ) -> None:
        message = message[:MESSAGE_CHARS]
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers or []

    def __reduce__(self) -> tuple[Callable[..., Refusal], tuple[int, str]]:
        """A judge, which is another process, says no too."""
        made = partial(Refusal, code=self.code, headers=self.headers)
        return made, (self.status, self.message)

    def body(self) -> bytes:
        error = {
            "message": self.message,
            "type": self._type(),
            "code": self.code,
        }
        return msgspec.json.encode({"error": error})

    def _type(self) -> str:
        if self.status == 429:
            return "rate_limit_error"
        if self.status >= 500:
            return "server_error"
        return "invalid_request_error"


def retry_after(seconds: float) -> Headers:
    whole = int(seconds + 0.999)
    return [(b"retry-after", str(max(1, whole)).encode())]
