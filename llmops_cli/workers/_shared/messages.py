"""The form of a chat's messages, as OpenAI's API has it. Standard library only."""

import json
from typing import Any

from _shared.request_fields import FieldError

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
FIELD = "messages"


# Any: whatever a client puts into its list of messages.
def check_message(message: Any, place: str) -> None:
    """Raises: FieldError. `place`: within the field, as in `[3]`."""
    if not isinstance(message, dict):
        raise FieldError(FIELD, "each is an object with a role", place=place)
    if message.get("role") not in ROLES:
        raise FieldError(FIELD, f"one of {', '.join(ROLES)}", place=f"{place}.role")
    content = message.get("content")
    if content is not None and not isinstance(content, str | list):
        raise FieldError(FIELD, "a text or text parts", place=f"{place}.content")
    for number, part in enumerate(content if isinstance(content, list) else []):
        _check_part(part, f"{place}.content[{number}]")
    calls = message.get("tool_calls")
    if calls is None:
        return
    if not isinstance(calls, list):
        raise FieldError(FIELD, "a list of calls", place=f"{place}.tool_calls")
    for number, call in enumerate(calls):
        _check_call(call, f"{place}.tool_calls[{number}]")


def _check_part(part: Any, place: str) -> None:
    is_text = isinstance(part, dict) and part.get("type") in ("text", "input_text")
    if not is_text or not isinstance(part.get("text"), str):
        raise FieldError(FIELD, "only text parts are supported", place=place)


def _check_call(call: Any, place: str) -> None:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise FieldError(FIELD, "a call has a function with a name", place=place)
    arguments = function.get("arguments")
    if arguments is None or isinstance(arguments, dict):
        return
    if not isinstance(arguments, str) or not _is_json(arguments or "{}"):
        raise FieldError(FIELD, "must be a text of JSON", place=f"{place}.function.arguments")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def text_of(content: str | list[dict[str, Any]] | None) -> str:
    """Of a checked message: its text, or its parts as one."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content)
    return content or ""
