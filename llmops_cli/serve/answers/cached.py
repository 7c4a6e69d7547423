"""When an answer of before is given again: to the same request, or one that means the same."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from llmops_cli.gateway_file.model import CacheConfig, SemanticConfig
from llmops_cli.serve.answers.admitted import AdmittedRequest
from llmops_cli.serve.answers.cache import ENTRY_MOST, Question, Store, question
from llmops_cli.serve.context import CacheUse, RequestContext
from llmops_cli.serve.endpoints import EMBEDDINGS
from llmops_cli.serve.reading import CHARS_PER_TOKEN
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.request import RequestBody
from llmops_cli.serve.upstreams.exchange import NoAnswer
from llmops_cli.serve.upstreams.outcome import Outcome

if TYPE_CHECKING:
    from llmops_cli.serve.answers.semantic import Meanings, Vector

LOG = logging.getLogger("llmops.gateway")


@dataclass(slots=True)
class CacheLookup:
    """What the cache knows of a request. `vector`: of its question, where meaning counts."""

    question: Question
    config: CacheConfig
    found: bytes | None = None
    use: CacheUse = CacheUse.MISS
    vector: Vector | None = None


class AnswerCache:
    """`meanings` makes the semantic part when it is first needed."""

    def __init__(self, store: Store, meanings: Callable[[], Meanings]) -> None:
        self._store = store
        self._new_meanings = meanings
        self._meanings: Meanings | None = None

    async def look_up(self, request: AdmittedRequest) -> CacheLookup | None:
        """None: nothing is cached for it."""
        if not request.target.caches or request.asked.bypasses_cache:
            return None
        config = request.snapshot.cache_of(request.decided.settings)
        if config is None:
            return None
        if request.decided.destinations.is_bound and not config.private:
            request.observed.cache = CacheUse.BYPASS
            return None
        asked = _question_of(request)
        if asked is None:
            return None
        lookup = CacheLookup(asked, config)
        lookup.found = await self._fresh(lookup.question.name)
        if lookup.found is not None:
            lookup.use = CacheUse.HIT
        elif config.semantic is not None and lookup.question.text:
            await self._look_up_meaning(request, lookup, config.semantic)
        request.observed.cache = lookup.use
        return lookup

    async def stale(self, lookup: CacheLookup) -> bytes | None:
        """An answer whose time is over, where those may be given."""
        if not lookup.config.stale:
            return None
        entry = await self._store.get(lookup.question.name)
        return None if entry is None else entry.body

    async def keep(self, lookup: CacheLookup, body: bytes) -> None:
        if len(body) > ENTRY_MOST:
            return
        asked = lookup.question
        config = lookup.config
        await self._store.put(asked.name, body, config.ttl_s)
        if lookup.vector is not None and config.semantic is not None:
            most = config.semantic.entries
            self._of_meanings().remember(asked.partition, asked.name, lookup.vector, most=most)

    async def _fresh(self, name: str) -> bytes | None:
        entry = await self._store.get(name)
        if entry is None or entry.stale:
            return None
        return entry.body

    # -- by meaning

    def _of_meanings(self) -> Meanings:
        if self._meanings is None:
            self._meanings = self._new_meanings()
        return self._meanings

    async def _look_up_meaning(
        self,
        request: AdmittedRequest,
        lookup: CacheLookup,
        config: SemanticConfig,
    ) -> None:
        asked = lookup.question
        lookup.vector = await _vector_of(request, config.model, asked.text)
        if lookup.vector is None:
            return
        near = self._of_meanings().nearest(asked.partition, lookup.vector)
        if near is None or near.cosine < config.threshold:
            return
        lookup.found = await self._fresh(near.name)
        if lookup.found is not None:
            lookup.use = CacheUse.SEMANTIC


def _question_of(request: AdmittedRequest) -> Question | None:
    """None for a field that is JSON and no value of ours, such as 1e400: the upstream judges it."""
    fields = request.decided.fields
    try:
        body = {name: msgspec.json.decode(value) for name, value in fields.items()}
    except msgspec.DecodeError:
        return None
    return question(
        body,
        tenant=request.asked.key.id,
        route=request.target.path,
        alias=request.asked.body.model,
        policy=request.snapshot.policy,
    )


async def _vector_of(
    request: AdmittedRequest,
    model: str,
    text: str,
) -> Vector | None:
    """The question's, from a model of our own; None if that does not answer."""
    from llmops_cli.serve.answers.semantic import unit

    fields = {"model": _raw(model), "input": _raw(text)}
    inner = RequestContext(EMBEDDINGS.path, EMBEDDINGS)
    # Who asks, and whether it is personal, is what it was of the whole request.
    inner.asked = msgspec.structs.replace(
        request.asked,
        endpoint=EMBEDDINGS,
        body=RequestBody(model=model, input=text),
        values={"model": model, "input": text},
        fields=fields,
        was_read=None,
    )
    inner.decided.prompt_tokens = len(text) // CHARS_PER_TOKEN
    inner.decided.destinations = request.decided.destinations
    try:
        exchange = await request.snapshot.dispatcher.open(model, inner, fields)
    except (NoAnswer, Refusal) as error:
        LOG.warning("semantic cache: %s", error)
        return None
    exchange.end(Outcome.GOOD)
    try:
        return unit(msgspec.json.decode(exchange.body or b"")["data"][0]["embedding"])
    except (msgspec.DecodeError, KeyError, IndexError, TypeError, ValueError):
        return None


def _raw(value: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
