"""A chat completion as Anthropic's message, and errors in its form."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from llmops_cli.runtime.messages_words import UNREADABLE
from llmops_cli.serve.answers.dialects.choices import OddAnswer
from llmops_cli.serve.answers.dialects.messages_thoughts import FIELDS as THOUGHT_FIELDS
from llmops_cli.serve.answers.dialects.messages_thoughts import signature
from llmops_cli.serve.answers.dialects.tool_calls import text_of_id

Json = dict[str, Any]  # Any: either API's fields
STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
STOPPED_BY = ("stop_reason", "matched_stop")
"""A choice's field that tells which stop sequence it was: vLLM's, SGLang's."""
ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What of an answer its client is to see, as the request said."""

    message_id: str
    model: str
    stop_sequences: tuple[str, ...] = ()
    thoughts: bool = True
    nothing: bool = False


def message_of(
    body: bytes,
    *,
    status: int,
    shown: Shown,
) -> tuple[int, bytes]:
    """The message that a whole chat completion means, or an error: its status and body.

    An upstream's 500 is a bad gateway: 500 would be the gateway's own fault.
    """
    status = 502 if status == 500 else status
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if status >= 400:
            return status, error_body(status, f"the upstream answered {status}")
        return _unusable("the upstream's answer is not JSON")
    if status >= 400:
        return status, error_body(status, _told(answer) or f"the upstream answered {status}")
    if status != 200:
        return _unusable(f"the upstream answered {status}")
    try:
        return 200, msgspec.json.encode(_message(answer, shown))
    except OddAnswer:
        return _unusable("the upstream's answer is no chat completion")


def _message(answer: Json, shown: Shown) -> Json:
    """Raises: one of OddAnswer."""
    choice = answer["choices"][0]
    message = choice["message"]
    stop = Stop(shown.stop_sequences)
    stop.note(choice)
    content = [] if shown.nothing else blocks_of(message, stop, thoughts=shown.thoughts)
    if shown.nothing:
        stop.reason = "max_tokens"
    return {
        **empty_message(shown.message_id, shown.model),
        "content": content,
        **stop.fields(),
        "usage": usage_of(answer.get("usage")),
    }


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
    if not isinstance(answer, dict):
        return ""
    detail = answer.get("error") or answer.get("message") or answer.get("detail")
    if isinstance(detail, dict):
        detail = detail.get("message")
    return detail if isinstance(detail, str) else ""


class Stop:
    """Why an answer ended."""

    def __init__(self, sequences: tuple[str, ...]) -> None:
        self.reason = "end_turn"
        self._sequences = sequences
        self._sequence: str | None = None
        self.calls_tools = False
        self.refuses = False

    def note(self, choice: Json) -> None:
        reason = choice.get("finish_reason")
        if isinstance(reason, str):
            self.reason = STOPS.get(reason, "end_turn")
        for name in STOPPED_BY:
            if choice.get(name) in self._sequences:
                self._sequence = choice[name]

    def fields(self) -> Json:
        """Some servers say `stop` where a tool is called, or where the answer is refused."""
        reason = self.reason
        sequence = None
        if reason == "end_turn" and self.refuses:
            reason = "refusal"
        elif reason == "end_turn" and self.calls_tools:
            reason = "tool_use"
        elif reason == "end_turn" and self._sequence is not None:
            reason = "stop_sequence"
            sequence = self._sequence
        return {"stop_reason": reason, "stop_sequence": sequence}


def usage_of(counts: object) -> Json:
    """What a cache held, and what was put into it, is told apart from the rest of the prompt."""
    if not isinstance(counts, dict):
        counts = {}
    prompt = _count(counts.get("prompt_tokens"))
    cached = min(prompt, _detail(counts, "prompt_tokens_details", "cached_tokens"))
    written = min(prompt - cached, _written(counts))
    usage: Json = {
        "input_tokens": prompt - cached - written,
        "output_tokens": _count(counts.get("completion_tokens")),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
    }
    thinking = _detail(counts, "completion_tokens_details", "reasoning_tokens")
    if thinking:
        usage["output_tokens_details"] = {"thinking_tokens": thinking}
    return usage


def _written(counts: Json) -> int:
    """As OpenRouter and LiteLLM tell it."""
    for name in ("cache_write_tokens", "cache_creation_tokens"):
        found = _detail(counts, "prompt_tokens_details", name)
        if found:
            return found
    return _count(counts.get("cache_creation_input_tokens"))


def _detail(counts: Json, group: str, name: str) -> int:
    details = counts.get(group)
    return _count(details.get(name)) if isinstance(details, dict) else 0


def _count(value: object) -> int:
    """A number of tokens, however an upstream writes it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return max(0, min(int(value), 2**53))


def unique(call_id: str, ids: set[str]) -> str:
    """An id that no other call of the answer has: some servers tell none, or one for all."""
    found = call_id
    if not found or found in ids:
        found = f"toolu_{secrets.token_hex(12)}"
    ids.add(found)
    return found


def tool_block(
    name: str,
    call_id: str,
    given: object,
) -> Json:
    """A call of a tool. `given`: its input, as far as it is known."""
    return {
        "type": "tool_use",
        "id": call_id,
        "name": name,
        "input": given,
    }


def thinking_block(thought: str, signed: str) -> Json:
    return {
        "type": "thinking",
        "thinking": thought,
        "signature": signed,
    }


def thought_of(message: Json) -> tuple[str, str] | None:
    """(field, text) of what a model says to itself. Raises: one of OddAnswer."""
    for field in THOUGHT_FIELDS:
        thought = message.get(field)
        if thought and isinstance(thought, str):
            return field, thought
    content = message.get("content")
    if not isinstance(content, list):
        return None
    thoughts = [_thought_of_part(part) for part in content if part.get("type") == "thinking"]
    return ("content", "".join(thoughts)) if thoughts else None


def _thought_of_part(part: Json) -> str:
    """As Mistral tells reasoning: among the parts. Raises: one of OddAnswer."""
    thinking = part["thinking"]
    if isinstance(thinking, str):
        return thinking
    return "".join(_text_of_part(each) for each in thinking)


def texts_of(message: Json) -> list[str]:
    """What is said: a string, or parts; images of an answer become words of Markdown.

    Raises: one of OddAnswer.
    """
    found: list[str] = []
    for name in ("content", "refusal"):
        said = message.get(name)
        if isinstance(said, str):
            found.append(said)
        elif said is not None:
            found += [_text_of_part(part) for part in said]
    found += [_text_of_part(part) for part in message.get("images") or ()]
    return [text for text in found if text]


def _text_of_part(part: Json) -> str:
    """An answer in Anthropic's form has no images: they are told as Markdown has them."""
    if part.get("type") == "image_url":
        url = part["image_url"]
        address = url if isinstance(url, str) else url["url"]
        return f"![image]({address})"
    if part.get("type") == "thinking":
        return ""
    text = part.get("text") or part.get("refusal")
    if not isinstance(text, str):
        raise TypeError("a part of another form")
    return text


def blocks_of(
    message: Json,
    stop: Stop,
    *,
    thoughts: bool,
) -> list[Json]:
    """Raises: one of OddAnswer."""
    found: list[Json] = []
    thought = thought_of(message)
    if thought is not None:
        field, said = thought
        found.append(thinking_block(said if thoughts else "", signature(field)))
    found += [{"type": "text", "text": text} for text in texts_of(message)]
    calls = [(call.get("id"), call["function"]) for call in message.get("tool_calls") or ()]
    if message.get("function_call"):
        calls.append((None, message["function_call"]))
    ids = set[str]()
    for given_id, function in calls:
        call_id = unique(text_of_id(given_id), ids)
        name = function["name"]
        if not name or not isinstance(name, str):
            raise ValueError("a call of no tool")
        found.append(tool_block(name, call_id, input_of(function.get("arguments"))))
    stop.calls_tools = bool(calls)
    stop.refuses = bool(message.get("refusal"))
    return found


def input_of(arguments: object) -> object:
    """An object, whatever a model wrote. Some servers have decoded it already."""
    if isinstance(arguments, dict):
        return arguments
    if arguments is None or arguments == "":
        return {}
    if not isinstance(arguments, str):
        raise TypeError("arguments are a string")
    try:
        given = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        given = None
    if not isinstance(given, dict):
        return {UNREADABLE: arguments}
    return msgspec.Raw(arguments.encode())
