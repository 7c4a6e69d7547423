"""Which tool call a piece of a stream belongs to.

OpenAI numbers them; some servers number all of them 0, or none, tell an id late, or tell it each
time.
"""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.runtime.messages_words import UNREADABLE
from llmops_cli.serve.answers.dialects.json_prefix import ObjectPrefix

Json = dict[str, Any]  # Any: OpenAI's fields


class ToolCall:
    """One call: what is known of it, and what of its input may be told.

    `number`: its place among the calls of an answer. `keeps`: its input is asked for.
    """

    def __init__(self, number: int, *, keeps: bool) -> None:
        self.number = number
        self._keeps = keeps
        self.id = ""
        self.name = ""
        self._pending = ""
        self._has_told = False
        self._prefix = ObjectPrefix()

    @property
    def is_named(self) -> bool:
        return bool(self.id and self.name)

    @property
    def is_whole(self) -> bool:
        return self._prefix.is_whole

    def add(self, piece: Json) -> None:
        """Raises: ValueError if its input, of which a part was told, is no JSON."""
        function = _called(piece)
        self.id = self.id or text_of_id(piece.get("id"))
        name = function.get("name") or ""
        if not isinstance(name, str):
            raise TypeError("a tool's name is a text")
        self.name = self.name or name
        self._more(arguments_of(function))

    def _more(self, arguments: str) -> None:
        if self.is_whole and not arguments.strip():
            return
        if self._keeps:
            self._pending += arguments
        if not self._prefix.feed(arguments) and self._has_told:
            raise ValueError("a tool's input is no JSON")

    def tell(self) -> str:
        """What of its input can be told now: it can still become an object."""
        if self._prefix.is_broken or not self._pending.strip():
            return ""
        told = self._pending
        self._pending = ""
        self._has_told = True
        return told

    def rest(self) -> str:
        """At its end: an input that is no object is told as one that says so."""
        if not self._prefix.is_broken:
            return self.tell()
        wrapped = msgspec.json.encode({UNREADABLE: self._pending})
        return wrapped.decode()


class ToolCalls:
    """Those of one answer."""

    def __init__(self, *, keeps: bool = True) -> None:
        """`keeps`: their inputs are asked for."""
        self._keeps = keeps
        self._count = 0
        self._by_id: dict[str, ToolCall] = {}
        self._by_index: dict[int, ToolCall] = {}
        self._last: ToolCall | None = None

    def of(self, piece: Json, *, index: int | None) -> ToolCall:
        """The call that a piece is of; a new one if it is of none before it."""
        call_id = text_of_id(piece.get("id"))
        call = self._known(piece, call_id, index) or self._new()
        if call_id:
            self._by_id.setdefault(call_id, call)
        if index is not None:
            self._by_index[index] = call
        self._last = call
        return call

    def number(self, pieces: list[Json]) -> None:
        """Gives each piece of a chunk the number of its call, in place.

        Raises: TypeError and the like for pieces of another form.
        """
        for position, piece in enumerate(pieces):
            index = index_of(piece, position, several=len(pieces) > 1)
            call = self.of(piece, index=index)
            call.add(piece)
            piece["index"] = call.number

    def _new(self) -> ToolCall:
        self._count += 1
        return ToolCall(self._count - 1, keeps=self._keeps)

    def _known(
        self,
        piece: Json,
        call_id: str,
        index: int | None,
    ) -> ToolCall | None:
        found = self._last if index is None else self._by_index.get(index)
        if found is not None and call_id and found.id == call_id:
            return found
        if call_id in self._by_id and (index is None or found is not None):
            return self._by_id[call_id]
        if found is None:
            return None
        function = _called(piece)
        name = function.get("name") or ""
        if call_id:
            is_its_id = not found.id and (not name or name == found.name or not found.name)
            return found if is_its_id else None
        if name and found.name and found.is_whole and arguments_of(function).strip():
            return None
        if name and found.name and name != found.name and index is None:
            return None
        return found


def _called(piece: Json) -> Json:
    """What is called: a function, or a tool of free text."""
    return piece.get("function") or piece.get("custom") or {}


def index_of(
    piece: Json,
    position: int,
    *,
    several: bool,
) -> int | None:
    """The number that a piece has; its place among `several` if it has none."""
    index = piece.get("index")
    if isinstance(index, int | float | str) and not isinstance(index, bool):
        return int(index)
    return position if several else None


def arguments_of(function: Json) -> str:
    """Raises: TypeError."""
    arguments = function.get("arguments")
    if arguments is None:
        return ""
    if isinstance(arguments, dict):
        return msgspec.json.encode(arguments).decode()
    if not isinstance(arguments, str):
        raise TypeError("arguments are a text")
    return arguments


def text_of_id(value: object) -> str:
    """Some servers number their calls."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return ""
