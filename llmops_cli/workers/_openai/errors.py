"""What is wrong with a request, and how OpenAI's API says so. Standard library only."""

from typing import Any

# An error's body is JSON: texts, a number and null.
Json = dict[str, Any]

INVALID = "invalid_request_error"
OURS = "server_error"


class RequestError(Exception):
    """A request that cannot be served. `param`: the field that must change, if one must."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        status: int = 400,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.status = status


def error_body(status: int, message: str, param: str | None = None) -> Json:
    kind = OURS if status >= 500 else INVALID
    error = {
        "message": message,
        "type": kind,
        "param": param,
        "code": status,
    }
    return {"error": error}
