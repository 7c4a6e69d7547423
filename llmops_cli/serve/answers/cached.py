"""When an answer of before is given again: to the same request, or one that means the same."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.gateway_file.model import CacheConfig, SemanticConfig
from llmops_cli.serve.answers.admitted import AdmittedRequest
from llmops_cli.serve.answers.cache import ENTRY_MOST, Question, Store, question
from llmops_cli.serve.answers.charge import charge
from llmops_cli.serve.answers.keepable import is_worth_keeping
from llmops_cli.serve.answers.usage import usage_in
from llmops_cli.serve.answers.vector import vector_context
from llmops_cli.serve.context import CacheUse, RequestContext, Usage
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.upstreams.exchange import NoAnswer
from llmops_cli.serve.upstreams.outcome import Outcome
from llmops_cli.serve.upstreams.source import UpstreamSource, source_of
from llmops_cli.serve.upstreams.statuses import OK

if TYPE_CHECKING:
    from llmops_cli.serve.answers.semantic import Meanings, Vector

Found = TypeVar("Found")
COMPARED_MOST = 1 << 20
"""Bytes of a body."""
LOG = logging.getLogger("llmops.gateway")


@dataclass(slots=True)
class CacheLookup:
    """What the cache knows of a request. `vector`: of its question, where meaning counts.

    `source`: who would answer it, as far as was known when it was looked up.
    """

    question: Question
    config: CacheConfig
    source: UpstreamSource
    found: bytes | None = None
    use: CacheUse = CacheUse.MISS
    vector: Vector | None = None


class AnswerCache:
    """`meanings` makes the semantic part when it is first needed.

    That reads megabytes of vectors at a time, in a thread of its own.
    """

    def __init__(self, store: Store, meanings: Callable[[], Meanings]) -> None:
        self._store = store
        self._new_meanings = meanings
        self._meanings: Meanings | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="meanings")

    async def look_up(self, request: AdmittedRequest) -> CacheLookup | None:
        """None: nothing is cached for it. Raises: Refusal if nothing else was wanted."""
        lookup = await self._look_up(request)
        if request.asked.cache_wish.only and (lookup is None or lookup.found is None):
            raise Refusal(504, "there is no answer of before", code="not_cached")
        return lookup

    async def _look_up(self, request: AdmittedRequest) -> CacheLookup | None:
        config = request.snapshot.cache_of(request.decided.settings)
        if config is None or not request.target.caches:
            return None
        if not _may_be_cached(request, config):
            request.observed.cache = CacheUse.BYPASS
            return None
        source = _source_of(request)
        question = _question_of(request, source, by_meaning=config.semantic is not None)
        if question is None:
            return None
        lookup = CacheLookup(question, config, source)
        if request.asked.cache_wish.reads:
            await self._read(request, lookup)
        else:
            lookup.use = CacheUse.BYPASS
        request.observed.cache = lookup.use
        return lookup

    async def _read(self, request: AdmittedRequest, lookup: CacheLookup) -> None:
        semantic = lookup.config.semantic
        lookup.found = await self._fresh(request, lookup, lookup.question.name)
        if lookup.found is not None:
            lookup.use = CacheUse.HIT
        elif semantic is not None and lookup.question.text:
            await self._read_by_meaning(request, lookup, semantic)

    async def stale(self, request: AdmittedRequest, lookup: CacheLookup) -> bytes | None:
        """An answer whose time is over, where those may be given."""
        if not lookup.config.stale or not request.asked.cache_wish.reads:
            return None
        entry = await self._store.get(lookup.question.name)
        return None if entry is None else entry.body

    async def keep(
        self,
        request: AdmittedRequest,
        lookup: CacheLookup,
        body: bytes,
    ) -> None:
        """An answer that is whole, from whom the entry names."""
        if not request.asked.cache_wish.keeps or len(body) > ENTRY_MOST:
            return
        if not _is_from(request, lookup.source):
            return
        copies = request.asked.copies()
        if not is_worth_keeping(body, request.target, copies=copies):
            return
        asked = lookup.question
        config = lookup.config
        await self._store.put(asked.name, body, config.ttl_s)
        vector = lookup.vector
        if vector is not None and config.semantic is not None:
            most = config.semantic.entries
            await self._apart(
                lambda meanings: meanings.remember(
                    asked.partition, asked.name, vector, asked.words, most=most
                )
            )

    async def _fresh(
        self,
        request: AdmittedRequest,
        lookup: CacheLookup,
        name: str,
    ) -> bytes | None:
        """Fresh enough for who asks."""
        entry = await self._store.get(name)
        if entry is None or entry.stale:
            return None
        wish = request.asked.cache_wish
        age_s = lookup.config.ttl_s - entry.left_s
        if age_s > wish.max_age_s or entry.left_s < wish.min_fresh_s:
            return None
        if not is_worth_keeping(entry.body, request.target, copies=request.asked.copies()):
            return None  # a damaged page of the file, or what an earlier version kept
        return entry.body

    # -- by meaning

    async def _apart(self, work: Callable[[Meanings], Found]) -> Found:
        """With the meanings, in the thread that has made them: SQLite wants that."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: work(self._of_meanings()))

    def _of_meanings(self) -> Meanings:
        if self._meanings is None:
            self._meanings = self._new_meanings()
        return self._meanings

    async def _read_by_meaning(
        self,
        request: AdmittedRequest,
        lookup: CacheLookup,
        config: SemanticConfig,
    ) -> None:
        asked = lookup.question
        vector = await _vector_of(request, config.model, asked.text)
        lookup.vector = vector
        if vector is None:
            return
        near = await self._apart(
            lambda meanings: meanings.nearest(
                asked.partition, vector, asked.words, threshold=config.threshold
            )
        )
        if near is None:
            return
        lookup.found = await self._fresh(request, lookup, near.name)
        if lookup.found is not None:
            lookup.use = CacheUse.SEMANTIC


def _may_be_cached(request: AdmittedRequest, config: CacheConfig) -> bool:
    """A request that a rule binds only where the file says so; none that takes long to compare."""
    if request.asked.body_bytes > COMPARED_MOST:
        return False
    wish = request.asked.cache_wish
    if request.decided.destinations.is_bound and not config.private:
        return False
    return wish.reads or wish.keeps


def _source_of(request: AdmittedRequest) -> UpstreamSource:
    """Who would answer now, and the small model before it. Raises: Refusal if nobody can."""
    found = _source_at(request, request.asked.body.model)
    hybrid = request.decided.settings.hybrid
    if hybrid is None:
        return found
    with suppress(Refusal):  # then it is not asked
        small = _source_at(request, hybrid.small)
        sure = msgspec.json.encode(hybrid)
        return UpstreamSource(
            found.side,
            (*found.members, sure, *small.members),
            found.answerers | small.answerers,
        )
    return found


def _source_at(request: AdmittedRequest, name: str) -> UpstreamSource:
    allows = request.decided.destinations.allows
    candidates = request.snapshot.router.candidates(name, request.asked)
    return source_of([each for each in candidates if allows(each.upstream.name)])


def _is_from(request: AdmittedRequest, source: UpstreamSource) -> bool:
    """Whether who answered is who would have: no other side, in the same state."""
    observed = request.observed
    if (observed.upstream, observed.side) not in source.answerers:
        return False
    return _source_of(request) == source


def _question_of(
    request: AdmittedRequest,
    source: UpstreamSource,
    *,
    by_meaning: bool,
) -> Question | None:
    """None for a field that is JSON and no value of ours, such as 1e400: the upstream judges it."""
    fields = request.decided.fields
    try:
        body = {name: msgspec.json.decode(value) for name, value in fields.items()}
    except UNREADABLE:
        return None
    return question(
        body,
        tenant=request.asked.key.id,
        route=request.target.path,
        alias=request.asked.body.model,
        policy=request.snapshot.policy,
        sources=(source.side.encode(), *source.members),
        by_meaning=by_meaning,
    )


async def _vector_of(
    request: AdmittedRequest,
    model: str,
    text: str,
) -> Vector | None:
    """The question's, from a model of the file's; None if that does not answer.

    Who asks pays for it, as for an answer.
    """
    from llmops_cli.serve.answers.semantic import unit

    inner = vector_context(request, model, text)
    try:
        exchange = await request.snapshot.dispatcher.open(model, inner, inner.asked.fields)
    except (NoAnswer, Refusal) as error:
        LOG.warning("semantic cache: %s", error)
        return None
    finally:
        for candidate in inner.observed.working:  # its client has left
            charge(request, candidate, Usage(input_tokens=inner.decided.prompt_tokens))
    exchange.end(Outcome.GOOD)
    raw = exchange.body or b""
    if exchange.reply.status == OK:
        charge(request, exchange.candidate, _used(raw, inner))
    try:
        return unit(msgspec.json.decode(raw)["data"][0]["embedding"])
    except (*UNREADABLE, KeyError, IndexError, TypeError, ValueError):
        return None


def _used(raw: bytes, inner: RequestContext) -> Usage:
    """A vector has no tokens of its own."""
    told = usage_in(raw) or Usage()
    tokens = told.input_tokens if told.tells_input else inner.decided.prompt_tokens
    return Usage(input_tokens=tokens, cached_tokens=told.cached_tokens)
