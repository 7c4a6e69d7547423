"""What ends a request before its answer."""

Headers = list[tuple[bytes, bytes]]


class ApiError(Exception):
    """An error response: status, OpenAI's error type, message, and the field at fault."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        headers: Headers | None = None,
        param: str | None = None,
    ) -> None:
        """`param`: the field of the request that is wrong."""
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.headers: Headers = headers or []
        self.param = param


class BadRequest(ApiError):
    """The client must change the request."""

    def __init__(
        self,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
    ) -> None:
        super().__init__(400, kind, message, param=param)


class Disconnected(Exception):
    """The client went away."""
