"""What would have been a whole answer, or a refusal, where a stream's status was told already."""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.serve.answers.dialects.choices import OddAnswer
from llmops_cli.serve.answers.dialects.dialect import Dialect
from llmops_cli.serve.answers.dialects.sse import event, named_event
from llmops_cli.serve.endpoints import RESPONSES, Endpoint
from llmops_cli.serve.upstreams.errors import UpstreamError

Json = dict[str, Any]  # Any: OpenAI's fields
MESSAGE_CHARS = 1000
ODD_ANSWER = {
    "message": "the upstream's answer has another form",
    "type": "server_error",
    "code": "upstream_error",
}


def answer_events(
    dialect: Dialect,
    endpoint: Endpoint,
    body: bytes,
    *,
    usage: bool,
) -> bytes:
    """All events of an answer. `endpoint`: the upstream's; `usage`: the count is told too."""
    try:
        if endpoint.choices is None:
            return _completed(msgspec.json.decode(body))
        return b"".join(dialect.spell(body, endpoint.choices, usage=usage))
    except (*OddAnswer, UpstreamError):
        return error_events(dialect, endpoint, ODD_ANSWER)


def _completed(response: Json) -> bytes:
    kind = f"response.{response['status']}"
    return named_event(kind, {"type": kind, "sequence_number": 0, "response": response})


def failure_events(dialect: Dialect, endpoint: Endpoint, body: bytes) -> bytes:
    """Of an upstream's error, in whatever form it says it."""
    return error_events(dialect, endpoint, _error_of(body))


def _error_of(body: bytes) -> Json:
    try:
        error = msgspec.json.decode(body)["error"]
        if isinstance(error["message"], str):
            return dict(error)
    except (*UNREADABLE, KeyError, TypeError):
        pass
    said = body[:MESSAGE_CHARS].decode("utf-8", "replace")
    return {"message": said, "type": "server_error", "code": "upstream_error"}


def error_events(dialect: Dialect, endpoint: Endpoint, error: Json) -> bytes:
    """The last event of a stream that ends with an error."""
    if endpoint is RESPONSES:
        return named_event("error", {"type": "error", "param": None, **_bare(error)})
    return dialect.feed(event({"error": error}))


def _bare(error: Json) -> Json:
    """Responses say what is wrong beside the event's type."""
    return {"code": error.get("code"), "message": error.get("message")}
