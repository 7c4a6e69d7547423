"""A chat completion as Anthropic's message, and errors in its form."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

Json = dict[str, Any]  # Any: either API's fields
STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def message_of(
    body: bytes,
    *,
    status: int,
    message_id: str,
    model: str,
) -> tuple[int, bytes]:
    """The message that a whole chat completion means, or an error: its status and body."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _unusable("the upstream's answer is not JSON")
    if status != 200:
        return status, error_body(status, _told(answer) or f"the upstream answered {status}")
    try:
        choice = answer["choices"][0]
        content = _blocks(choice["message"])
        calls_tools = bool(choice["message"].get("tool_calls"))
        usage = usage_of(answer.get("usage") or {})
    except (KeyError, IndexError, TypeError):
        return _unusable("the upstream's answer is no chat completion")
    message = msgspec.json.encode(
        {
            **empty_message(message_id, model),
            "content": content,
            "stop_reason": stop_reason(choice.get("finish_reason"), calls_tools=calls_tools),
            "usage": usage,
        }
    )
    return status, message


def _unusable(reason: str) -> tuple[int, bytes]:
    return 502, error_body(502, reason)


def empty_message(message_id: str, model: str) -> Json:
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def error_body(
    status: int,
    message: str,
    *,
    request_id: str = "",
) -> bytes:
    body: Json = {"type": "error", "error": {"type": _error_type(status), "message": message}}
    if request_id:
        body["request_id"] = request_id
    return msgspec.json.encode(body)


def _error_type(status: int) -> str:
    if status in ERRORS:
        return ERRORS[status]
    return "api_error" if status >= 500 else "invalid_request_error"


def _told(answer: object) -> str:
    """The words of an upstream's error."""
    detail = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(detail, dict):
        detail = detail.get("message")
    return str(detail or "")


def stop_reason(reason: str | None, *, calls_tools: bool) -> str:
    """Some servers say `stop` where a tool is called."""
    found = STOPS.get(reason or "stop", "end_turn")
    if calls_tools and found == "end_turn":
        return "tool_use"
    return found


def usage_of(counts: Json) -> Json:
    return {
        "input_tokens": counts.get("prompt_tokens") or 0,
        "output_tokens": counts.get("completion_tokens") or 0,
    }


def tool_block(call: Json, *, given: Json) -> Json:
    """A call of a tool. `given`: its arguments, as far as they are known."""
    function = call.get("function") or {}
    return {
        "type": "tool_use",
        "id": call.get("id") or f"toolu_{secrets.token_hex(8)}",
        "name": function.get("name"),
        "input": given,
    }


def thought_of(message: Json) -> str | None:
    return message.get("reasoning_content") or message.get("reasoning")


def text_of(message: Json) -> str | None:
    return message.get("content") or message.get("refusal")


def _blocks(message: Json) -> list[Json]:
    found: list[Json] = []
    thought = thought_of(message)
    if thought:
        found.append(
            {
                "type": "thinking",
                "thinking": thought,
                "signature": "",
            }
        )
    text = text_of(message)
    if text:
        found.append({"type": "text", "text": text})
    calls = message.get("tool_calls") or ()
    return found + [tool_block(call, given=_arguments(call["function"])) for call in calls]


def _arguments(function: Json) -> Json:
    raw = function.get("arguments")
    try:
        given: Json = msgspec.json.decode(raw or "{}")
    except msgspec.DecodeError:
        return {"arguments": raw}
    return given
