"""What a request's answer is held to: its own grammar, or that of its `response_format`."""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from _shared.grammar_making.tasks import AnySchema, GbnfTask, GrammarTask, SchemaTask
from _shared.grammars.compiled import GrammarCache, digest_of
from _shared.grammars.machine import Machine
from _shared.grammars.nodes import GrammarError
from llamacpp.server.errors import ApiError, BadRequest

# Any: a JSON schema, whose keywords hold values of every kind.
JsonSchema = dict[str, Any]

ANY_OBJECT: JsonSchema = {"type": "object"}
MOST_WAITING = 32
"""Grammars that are to be made, one after another."""


class WantedForm(NamedTuple):
    """A grammar that is asked for. `field`: where; `what`: how a refusal begins."""

    task: GrammarTask
    field: str
    what: str


class _Making(NamedTuple):
    """What is being made just now."""

    task: GrammarTask
    digest: str


class Grammars:
    """Grammars for requests. Who asks for one that has been made waits for none that is being made.

    `make` runs in one thread of its own, which others of the event loop's never wait for. What
    nobody waits for any more (who asked is cancelled) is not begun, and `give_up` ends it if it is.
    """

    def __init__(
        self,
        make: Callable[[GrammarTask], Machine],
        give_up: Callable[[GrammarTask], None] | None = None,
    ) -> None:
        self._give_up = give_up
        self._wanted: Counter[str] = Counter()
        self._making: _Making | None = None
        self._cache: GrammarCache[GrammarTask] = GrammarCache(make)
        self._maker = ThreadPoolExecutor(1, "grammars")
        self._turn = asyncio.Semaphore(1)
        self.waiting = 0

    async def machine(self, wanted: WantedForm) -> Machine:
        """Raises: ApiError."""
        try:
            digest, known = await asyncio.to_thread(self._known, wanted.task)
            return known or await self._made(wanted.task, digest)
        except GrammarError as error:
            raise BadRequest(f"{wanted.what}: {error}", param=wanted.field) from error
        except RecursionError as error:
            message = f"{wanted.what}: it is nested too deep"
            raise BadRequest(message, param=wanted.field) from error
        except OSError as error:
            message = f"no process can be started that makes grammars: {error}"
            raise ApiError(503, "server_error", message) from error

    def _known(self, task: GrammarTask) -> tuple[str, Machine | None]:
        """With its digest, which takes a while of a large schema. Raises: GrammarError."""
        return digest_of(task), self._cache.known(task)

    async def _made(self, task: GrammarTask, digest: str) -> Machine:
        """Raises: ApiError for one too many, and as `make`."""
        if self.waiting >= MOST_WAITING:
            message = "too many grammars are waiting to be made; retry later"
            raise ApiError(429, "overloaded_error", message, headers=[(b"retry-after", b"1")])
        self.waiting += 1
        self._wanted[digest] += 1
        try:
            await self._turn.acquire()
            making = self._begun(task, digest)
            await asyncio.wait([making])
            return making.result()
        finally:
            self.waiting -= 1
            self._left(digest)

    def _left(self, digest: str) -> None:
        """Somebody waits no longer, whatever came of it."""
        self._wanted[digest] -= 1
        if self._wanted[digest] > 0:
            return
        del self._wanted[digest]
        making = self._making
        if making is not None and making.digest == digest and self._give_up is not None:
            self._give_up(making.task)

    def _begun(self, task: GrammarTask, digest: str) -> asyncio.Future[Machine]:
        """Has the turn until it is done, whoever waits for it."""
        loop = asyncio.get_running_loop()
        try:
            making = loop.run_in_executor(self._maker, self._cache.made, task)
        except RuntimeError:  # no thread can be started
            self._turn.release()
            raise
        self._making = _Making(task, digest)
        making.add_done_callback(self._next_turn)
        return making

    def _next_turn(self, made: asyncio.Future[Machine]) -> None:
        self._making = None
        self._turn.release()
        if not made.cancelled():
            made.exception()  # asyncio logs what nobody has looked at


def form_of(grammar: str | None, response_format: JsonSchema | None) -> WantedForm | None:
    """None for free text. Raises: BadRequest."""
    if grammar:
        return WantedForm(GbnfTask(grammar), "grammar", "grammar")
    if not response_format:
        return None
    kind = response_format.get("type")
    if kind == "text":
        return None
    if kind == "json_object" and response_format.get("schema") is None:
        return form_of_schema(ANY_OBJECT)
    if kind == "json_object":
        # llama.cpp's own form.
        return form_of_schema(schema_in({"schema": response_format["schema"]}))
    if kind == "json_schema":
        return form_of_schema(schema_in(response_format))
    known = "text, json_object, json_schema"
    message = f"response_format: unknown type {kind!r}; known: {known}"
    raise BadRequest(message, param="response_format")


def form_of_schema(schema: AnySchema) -> WantedForm:
    field = "response_format"
    return WantedForm(SchemaTask(schema), field, f"{field}: this schema cannot become a grammar")


def schema_in(response_format: JsonSchema) -> AnySchema:
    """OpenAI puts it below `json_schema`; some clients leave that level out."""
    holder = response_format.get("json_schema") or response_format
    if isinstance(holder, dict):
        schema = holder.get("schema")
        if isinstance(schema, dict | bool):
            return schema
    message = "response_format: json_schema.schema is missing"
    raise BadRequest(message, param="response_format")
