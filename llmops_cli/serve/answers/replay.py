"""Answers between their two forms: one JSON object, or server-sent events. Chat completions and
text completions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

Json = dict[str, Any]  # Any: OpenAI's fields
_WORDS = re.compile(r"\s*\S+\s*$|\s*\S+", re.DOTALL)
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


def assembled(events: bytes) -> Json | None:
    """The object that a stream spelt out; None if it is not whole, or not one of ours."""
    if b"[DONE]" not in events[-64:]:
        return None
    whole: Json | None = None
    choices: dict[int, Json] = {}
    try:
        for line in events.splitlines():
            data = line.removeprefix(b"data:").strip()
            if not line.startswith(b"data:") or data == b"[DONE]":
                continue
            chunk = msgspec.json.decode(data)
            if "error" in chunk:
                return None
            if whole is None:
                whole = {
                    name: value for name, value in chunk.items() if name not in ("choices", "usage")
                }
            if chunk.get("usage"):
                whole["usage"] = chunk["usage"]
            for piece in chunk["choices"]:
                _merge(choices.setdefault(int(piece.get("index") or 0), {}), piece)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        return None
    if (
        whole is None
        or not choices
        or any(not choice.get("finish_reason") for choice in choices.values())
    ):
        return None
    whole["object"] = str(whole.get("object", "")).removesuffix(".chunk")
    for choice in choices.values():
        if (
            "message" in choice
            and not choice["message"]["content"]
            and choice["message"].get("tool_calls")
        ):
            choice["message"]["content"] = None
    whole["choices"] = [{"index": index, **choices[index]} for index in sorted(choices)]
    return whole


def _merge(choice: Json, piece: Json) -> None:
    """A piece of one choice into what there is of it."""
    if "text" in piece:
        choice["text"] = choice.get("text", "") + (piece["text"] or "")
    if "delta" in piece:
        message = choice.setdefault("message", {"role": "assistant", "content": None})
        delta = piece["delta"] or {}
        for name in _TEXTS:
            if delta.get(name) is not None:
                message[name] = (message.get(name) or "") + delta[name]
        for call in delta.get("tool_calls") or ():
            _merge_call(message.setdefault("tool_calls", []), call)
    if piece.get("finish_reason"):
        choice["finish_reason"] = piece["finish_reason"]
    if piece.get("logprobs"):
        found = choice.setdefault("logprobs", {})
        for name, values in piece["logprobs"].items():
            if isinstance(values, list):
                found.setdefault(name, []).extend(values)


def _merge_call(calls: list[Json], piece: Json) -> None:
    """A piece of a tool call: the first brings its name, the rest its arguments."""
    index = int(piece.get("index") or 0)
    while len(calls) <= index:
        calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call = calls[index]
    function = piece.get("function") or {}
    call["id"] = call["id"] or piece.get("id") or ""
    call["function"]["name"] = call["function"]["name"] or function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""


def spelt(whole: Json, *, usage: bool) -> Iterator[bytes]:
    """The events of an answer, a word each."""
    chat = any(
        "message" in choice for choice in whole["choices"]
    )  # not every server says what object it is
    head = {
        name: value for name, value in whole.items() if name not in ("choices", "usage", "object")
    }
    head["object"] = "chat.completion.chunk" if chat else whole.get("object", "text_completion")
    for choice in whole["choices"]:
        for piece in _pieces(choice) if chat else _text_pieces(choice):
            yield event(
                {
                    **head,
                    "choices": [{"index": choice.get("index", 0), "finish_reason": None, **piece}],
                }
            )
    if usage and whole.get("usage"):
        yield event({**head, "choices": [], "usage": whole["usage"]})
    yield b"data: [DONE]\n\n"


def _pieces(choice: Json) -> Iterator[Json]:
    message = choice["message"]
    yield {"delta": {"role": message.get("role", "assistant"), "content": ""}}
    for name in ("reasoning_content", "reasoning", "refusal", "content"):
        for word in _WORDS.findall(message.get(name) or ""):
            yield {"delta": {name: word}}
    for index, call in enumerate(message.get("tool_calls") or ()):
        yield {"delta": {"tool_calls": [{"index": index, **call}]}}
    last: Json = {"delta": {}, "finish_reason": choice.get("finish_reason") or "stop"}
    yield {**last, "logprobs": choice["logprobs"]} if choice.get("logprobs") else last


def _text_pieces(choice: Json) -> Iterator[Json]:
    for word in _WORDS.findall(choice.get("text") or ""):
        yield {"text": word}
    yield {"text": "", "finish_reason": choice.get("finish_reason") or "stop"}


def event(chunk: object) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"
