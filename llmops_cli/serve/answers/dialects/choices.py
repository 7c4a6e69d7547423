"""Answers with choices, in their two forms: one JSON object, or server-sent events."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import msgspec

from llmops_cli.serve.answers.dialects.sse import DONE, data_lines, event
from llmops_cli.serve.answers.dialects.tool_calls import ToolCalls

Json = dict[str, Any]  # Any: OpenAI's fields
OddAnswer = (
    msgspec.DecodeError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
    RecursionError,
)
"""What an answer of another form leads to."""
ENDINGS = ("finish_reason", "stop_reason", "matched_stop")
"""Why a choice ended: OpenAI's field, vLLM's and SGLang's."""
APART = ("choices", "usage", "object")
_WORDS = re.compile(r"\s*\S+\s*$|\s*\S+|\s+", re.DOTALL)


class ChoiceFormat(Protocol):
    """How choices of one endpoint look."""

    def chunk_object(self, whole: Json) -> str:
        """What events call themselves."""

    def pieces(self, choice: Json) -> Iterator[Json]:
        """A whole choice as a stream tells it."""

    def merge(self, choice: Json, piece: Json) -> None:
        """A stream's piece into what there is of the choice, of whose texts there are pieces."""

    def tidy(self, choice: Json) -> None:
        """Of a choice that is whole now, and so are its texts. Raises: one of OddAnswer."""

    def empty(self, index: int) -> Json:
        """A piece that says nothing yet."""

    def append(
        self,
        choice: Json,
        name: str,
        text: str,
    ) -> None:
        """More words for a place, into a piece."""

    def replace(self, choice: Json, text: str) -> None:
        """A piece that says this and nothing else."""


def words(text: str | None) -> list[str]:
    """With the space before each."""
    return _WORDS.findall(text or "")


def add_piece(holder: Json, name: str, text: object) -> None:
    """One more of a text, which is joined when it is whole: a copy for each takes minutes."""
    pieces = holder.get(name)
    if not isinstance(pieces, list):
        pieces = []
        holder[name] = pieces
    pieces.append(text)


def join_pieces(holder: Json, names: Iterable[str]) -> None:
    """Raises: TypeError for a piece that is no text."""
    for name in names:
        if isinstance(holder.get(name), list):
            holder[name] = "".join(holder[name])


def assembled(events: bytes, form: ChoiceFormat) -> Json | None:
    """The object that a stream spelt out; None if it is not whole, or not one of ours."""
    if b"[DONE]" not in events[-64:]:
        return None
    whole: Json = {}
    choices: dict[int, Json] = {}
    calls: dict[int, ToolCalls] = {}
    try:
        for data in data_lines(events):
            if data == b"[DONE]":
                continue
            chunk = msgspec.json.decode(data)
            if "error" in chunk:
                return None
            for piece in chunk["choices"]:
                _number_calls(piece, calls)
            _add(chunk, whole, choices, form)
        for choice in choices.values():
            form.tidy(choice)
    except OddAnswer:
        return None
    if not choices or not all(choice.get("finish_reason") for choice in choices.values()):
        return None
    whole["object"] = str(whole.get("object", "")).removesuffix(".chunk")
    whole["choices"] = [{"index": index, **choices[index]} for index in sorted(choices)]
    return whole


def _number_calls(piece: Json, calls: dict[int, ToolCalls]) -> None:
    """So that pieces of one call find each other, whatever an upstream numbers them."""
    delta = piece.get("delta") or {}
    if delta.get("tool_calls"):
        index = int(piece.get("index") or 0)
        calls.setdefault(index, ToolCalls(keeps=False)).number(delta["tool_calls"])


def _add(
    chunk: Json,
    whole: Json,
    choices: dict[int, Json],
    form: ChoiceFormat,
) -> None:
    if not whole:
        whole |= {name: value for name, value in chunk.items() if name not in ("choices", "usage")}
    if chunk.get("usage"):
        whole["usage"] = chunk["usage"]
    for piece in chunk["choices"]:
        choice = choices.setdefault(int(piece.get("index") or 0), {})
        form.merge(choice, piece)
        merge_ending(choice, piece)


def merge_ending(choice: Json, piece: Json) -> None:
    """What all choices have."""
    for name in ENDINGS:
        if piece.get(name):
            choice[name] = piece[name]
    if piece.get("logprobs"):
        found = choice.setdefault("logprobs", {})
        for name, values in piece["logprobs"].items():
            if isinstance(values, list):
                found.setdefault(name, []).extend(values)


def spelt(
    whole: Json,
    form: ChoiceFormat,
    *,
    usage: bool,
) -> Iterator[bytes]:
    """The events of an answer, a word each."""
    head = {name: value for name, value in whole.items() if name not in APART}
    head["object"] = form.chunk_object(whole)
    for choice in whole["choices"]:
        index = choice.get("index", 0)
        for piece in form.pieces(choice):
            shown = {
                "index": index,
                "finish_reason": None,
                **piece,
            }
            yield event({**head, "choices": [shown]})
    if usage and whole.get("usage"):
        yield event(
            {
                **head,
                "choices": [],
                "usage": whole["usage"],
            }
        )
    yield DONE
