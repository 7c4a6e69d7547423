"""Choices of a chat completion: messages whole, deltas in a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llmops_cli.runtime.messages_words import SIGNED_THOUGHTS, signed_thought
from llmops_cli.serve.answers.dialects.choices import ENDINGS, add_piece, join_pieces, words
from llmops_cli.serve.answers.dialects.tool_calls import arguments_of

Json = dict[str, Any]  # Any: OpenAI's fields
SPELT = ("reasoning_content", "reasoning", "refusal", "content")
"""What a message says, in the order in which a stream tells it."""

HOLDERS = {
    "function_call": "arguments",
    "audio": "transcript",
}
"""Objects of a message, and the text in each."""


class ChatChoices:
    def chunk_object(self, whole: Json) -> str:
        del whole  # not every server says what object it is
        return "chat.completion.chunk"

    def pieces(self, choice: Json) -> Iterator[Json]:
        message = choice["message"]
        yield {"delta": {"role": message.get("role", "assistant"), "content": ""}}
        for name in SPELT:
            for word in words(message.get(name)):
                yield {"delta": {name: word}}
        for index, call in enumerate(message.get("tool_calls") or ()):
            yield {"delta": {"tool_calls": [{"index": index, **call}]}}
        others = _others(message)
        if others:
            yield {"delta": others}
        last: Json = {"delta": {}, "finish_reason": choice.get("finish_reason") or "stop"}
        for name in ("logprobs", *ENDINGS[1:]):
            if choice.get(name):
                last[name] = choice[name]
        yield last

    def merge(self, choice: Json, piece: Json) -> None:
        if "delta" not in piece:
            return
        message = choice.setdefault("message", {"role": "assistant", "content": None})
        delta = piece["delta"] or {}
        others = _others(delta)
        signed = others.pop(SIGNED_THOUGHTS, [])
        if others or not all(map(signed_thought, signed)):
            raise ValueError("a delta of another form")  # what is kept is whole
        if signed:
            message.setdefault(SIGNED_THOUGHTS, []).extend(signed)
        for name in SPELT:
            if delta.get(name) is not None:
                add_piece(message, name, delta[name])
        for call in delta.get("tool_calls") or ():
            _merge_call(message.setdefault("tool_calls", []), call)

    def tidy(self, choice: Json) -> None:
        """Who only calls tools says nothing, which is not an empty text."""
        message = choice.get("message")
        if message:
            join_pieces(message, SPELT)
            for call in message.get("tool_calls") or ():
                join_pieces(call["function"], ("arguments",))
        if message and not message["content"] and message.get("tool_calls"):
            message["content"] = None

    def empty(self, index: int) -> Json:
        return {
            "index": index,
            "delta": {},
            "finish_reason": None,
        }

    def append(
        self,
        choice: Json,
        name: str,
        text: str,
    ) -> None:
        delta = choice.setdefault("delta", {})
        kind, _, index = name.partition(" ")
        if kind == "tool":
            call: Json = {"index": int(index), "function": {"arguments": text}}
            delta.setdefault("tool_calls", []).append(call)
        elif kind == "custom":
            call = {"index": int(index), "custom": {"input": text}}
            delta.setdefault("tool_calls", []).append(call)
        elif index:
            detail = {"type": f"reasoning.{kind}", "index": int(index), kind: text}
            delta.setdefault("reasoning_details", []).append(detail)
        elif name in HOLDERS:
            _add_text(delta.setdefault(name, {}), HOLDERS[name], text)
        else:
            _add_text(delta, name, text)

    def replace(self, choice: Json, text: str) -> None:
        choice.setdefault("delta", {})["content"] = text


def _others(message: Json) -> Json:
    """What a message has beside texts and tool calls: images, annotations and the like."""
    known = ("role", "tool_calls", *SPELT)
    return {name: value for name, value in message.items() if name not in known and value}


def _add_text(holder: Json, field: str, text: str) -> None:
    holder[field] = str(holder.get(field) or "") + text


def _merge_call(calls: list[Json], piece: Json) -> None:
    """A piece of a tool call: the first brings its name, the rest its arguments."""
    index = int(piece.get("index") or 0)
    while len(calls) <= index:
        calls.append(
            {
                "id": "",
                "type": "function",
                "function": {"name": "", "arguments": []},
            }
        )
    call = calls[index]
    if piece.get("custom"):
        raise ValueError("a call of another form")
    function = piece.get("function") or {}
    call["id"] = call["id"] or piece.get("id") or ""
    call["function"]["name"] = call["function"]["name"] or function.get("name") or ""
    add_piece(call["function"], "arguments", arguments_of(function))
