"""A body, read whole and within its limits, in the form that the gateway works with."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from typing import NamedTuple

import msgspec

from llmops_cli.core.misfit import misfit_of
from llmops_cli.core.wrong_json import UNREADABLE, wrong_body
from llmops_cli.serve.answers.dialects.dialect import Dialect
from llmops_cli.serve.answers.disconnect import ClientGone
from llmops_cli.serve.context import Asked, Fields
from llmops_cli.serve.door.body_room import BodyRoom
from llmops_cli.serve.door.identity import SESSION_CHARS
from llmops_cli.serve.door.pace import FREE_BYTES, Pace
from llmops_cli.serve.door.packed import coding_of, too_large, unpacked
from llmops_cli.serve.door.protocol import WAITING
from llmops_cli.serve.door.respond import Receive, Scope
from llmops_cli.serve.door.twins import has_twin
from llmops_cli.serve.endpoints import WHOLE_NUMBERS
from llmops_cli.serve.reading import Json
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.request import RequestBody

LARGEST = int(sys.float_info.max)
"""Beyond it a number is none for most of those who read JSON, as 1e999 is none."""
FIELDS_MOST = 1000
"""Of the body itself."""
_pace = Pace()
_room = BodyRoom()
decode_fields = msgspec.json.Decoder(Fields).decode


async def received(
    scope: Scope,
    receive: Receive,
    *,
    most: int,
    client: str = "",
) -> bytes:
    """The body, unpacked if it was packed. `client`: who shares its room for large ones.

    Raises: Refusal for one that has, or unpacks to, more than `most` bytes; ClientGone.
    """
    coding = None
    told = most
    for name, value in scope["headers"]:
        if name == b"content-length":
            told = int(value)
            if told > most:
                raise too_large(most)
        if name == b"content-encoding":
            coding = coding_of(value, before=coding)
    async with AsyncExitStack() as stack:
        room = _Room(stack, told, client, scope.get(WAITING, nullcontext))
        packed = await _whole(receive, most, room)
    if coding is None:
        return packed
    return await unpacked(packed, coding, most=most)


class _Room(NamedTuple):
    """For all of a large body. `told`: its length, or the most that it may have."""

    stack: AsyncExitStack
    told: int
    client: str
    waiting: Callable[[], AbstractContextManager[None]]

    async def take(self) -> None:
        with self.waiting():
            await self.stack.enter_async_context(_room.held(self.client, self.told))


async def _whole(receive: Receive, most: int, room: _Room) -> bytes:
    """A large one waits for its room. Raises: Refusal; ClientGone."""
    parts: list[bytes] = []
    size = 0
    has_room = room.told <= FREE_BYTES
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > most:
            raise too_large(most)
        parts.append(part)
        if not message.get("more_body"):
            return part if len(parts) == 1 else b"".join(parts)
        if size > FREE_BYTES:
            if not has_room:
                await room.take()
                has_room = True
            await _pace.turn()


def parse(
    body: bytes,
    asked: Asked,
    dialect: Dialect,
) -> bytes:
    """The body in OpenAI's form; what is read of it stands in `asked`. Raises: Refusal."""
    asked.body_bytes = len(body)
    try:
        values, again = _decoded(body)
        plain = dialect.request(again)
        asked.values = values if plain is again else msgspec.json.decode(plain)
        asked.body = msgspec.convert(asked.values, RequestBody)
        asked.fields = decode_fields(plain)
    except msgspec.ValidationError:
        raise Refusal(400, _misfit(asked.values), code="invalid_body") from None
    except UNREADABLE:
        raise Refusal(400, wrong_body(body), code="invalid_json") from None
    except RecursionError:
        raise Refusal(400, "the body is nested too deep", code="invalid_json") from None
    lack = asked.endpoint.lacks(asked.body)
    if lack is not None and not (asked.endpoint.prompts and asked.body.may_name_prompt):
        raise Refusal(400, lack, code="invalid_body")
    if not asked.session and asked.body.user:
        asked.session = asked.body.user[:SESSION_CHARS]
    dialect.model = asked.body.model
    return plain


def _misfit(values: object) -> str:
    """The field and what it must be; a caller's words are not repeated."""
    misfit = misfit_of(values, RequestBody, shows_values=False)
    return "the body cannot be read" if misfit is None else misfit.told


def _decoded(body: bytes) -> tuple[Json, bytes]:
    """The body's values, and the bytes that say them once: what is sent is what was read.

    Raises: msgspec.DecodeError; Refusal.
    """
    values = msgspec.json.decode(body)
    if not isinstance(values, dict):
        raise Refusal(400, "the body is no JSON object", code="invalid_body")
    if len(values) > FIELDS_MOST:
        raise Refusal(400, f"the body has more than {FIELDS_MOST:,} fields", code="too_large")
    fractions = []
    for name, value in values.items():
        kind = type(value)
        if kind is int and not -LARGEST <= value <= LARGEST:
            raise Refusal(400, f"{name}: number out of range", code="invalid_body")
        if kind is float:
            fractions.append(name)
    again = msgspec.json.encode(values)
    if len(again) != len(body) and has_twin(body, again):
        raise Refusal(400, "a key of the body comes twice", code="invalid_body")
    if fractions and _make_whole(values, fractions):
        again = msgspec.json.encode(values)
    return values, again


def _make_whole(values: Json, fractions: list[str]) -> bool:
    """5.0 is 5 where something is counted; whether there was such a number.

    `fractions`: fields with a number that has a point.
    """
    found = False
    for name in fractions:
        value = values[name]
        if name in WHOLE_NUMBERS and value.is_integer():
            values[name] = int(value)
            found = True
    return found
