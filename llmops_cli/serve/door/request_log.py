"""What is written of each request that has ended: metrics, a line of the audit log, a span.

What takes long of it, redacted bodies and a search for keys, is done when nobody waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, NamedTuple

from msgspec import structs

from llmops_cli.serve.context import RequestContext
from llmops_cli.serve.judging.judging import KEY_SEARCH_BYTES, Judging
from llmops_cli.serve.judging.key_search import search_keys
from llmops_cli.serve.judging.stance import ModelStance
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.seen_texts import SeenTexts
from llmops_cli.serve.watch.audit import AuditBodies, AuditEntry, AuditLog, now
from llmops_cli.serve.watch.key_sightings import KeySightings
from llmops_cli.serve.watch.metrics import Metrics

LOG = logging.getLogger("llmops.gateway")
NOT_KEPT = "[not kept: there was no time to redact it]"
WRITING_MOST = 500
"""Lines that wait for their bodies, of 64 KB each, or for a search."""
SEARCHING_BYTES_MOST = 64 << 20
"""Of texts that wait to be searched for keys."""
CLOSE_S = 5.0
ERROR_CHARS = 256
"""Of what an upstream may have written."""


class Suspected(NamedTuple):
    """`model`: its name in metrics."""

    model: str
    seen: SeenTexts


class Looks(NamedTuple):
    """What is still to be done before a line is written.

    `searched`: for keys. `suspected`: by the guard; the answer is judged.
    """

    bodies: AuditBodies | None
    searched: SeenTexts | None
    suspected: Suspected | None


NO_LOOKS = Looks(None, None, None)


class RequestLog:
    def __init__(
        self,
        audit: AuditLog,
        metrics: Metrics,
        judging: Judging,
        sightings: KeySightings,
        tracer: Any = None,  # Any: an optional library's
        *,
        build: str = "",
    ) -> None:
        """`build`: of the code, for each line."""
        self._audit = audit
        self._metrics = metrics
        self._judging = judging
        self._sightings = sightings
        self._tracer = tracer
        self._build = build
        self._writing: set[asyncio.Task[None]] = set()
        self._searching_bytes = 0

    @property
    def keeps_bodies(self) -> bool:
        return self._audit.bodies

    def begin(self, context: RequestContext) -> None:
        """A request that will be worked on."""
        if self._tracer is not None:
            self._tracer.begin(context)

    def end(self, context: RequestContext) -> None:
        total_s = time.monotonic() - context.asked.start
        self._metrics.done(context, total_s)
        entry = _entry(context, total_s, build=self._build)
        looks = _looks(context)
        if looks.searched is not None and looks.searched.size <= KEY_SEARCH_BYTES:
            entry = self._searched_here(entry, looks.searched)
            looks = Looks(looks.bodies, None, looks.suspected)
        if looks == NO_LOOKS:
            self._write(entry)
        else:
            self._write_later(entry, looks)
        if self._tracer is not None:
            self._tracer.end(context)

    def _write(self, entry: AuditEntry) -> None:
        lost = self._audit.lost
        self._audit.write(entry)
        if self._audit.lost > lost:
            self._metrics.audit_lost.inc(self._audit.lost - lost)

    def _write_later(self, entry: AuditEntry, looks: Looks) -> None:
        """The line comes when its texts were looked at, which nobody waits for."""
        if len(self._writing) >= WRITING_MOST:
            self._write(self._not_looked_at(entry, looks))
            return
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._write_looked_at(entry, looks))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write_looked_at(self, entry: AuditEntry, looks: Looks) -> None:
        """Each look is off the list once it is done: what was found stands in the line."""
        try:
            if looks.searched is not None:
                entry = await self._searched(entry, looks.searched)
                looks = looks._replace(searched=None)
            if looks.bodies is not None:
                entry = await self._redacted(entry, looks.bodies)
                looks = looks._replace(bodies=None)
            if looks.suspected is not None:
                stance = await self._stance(entry, looks.suspected)
                entry = self._with_stance(entry, looks.suspected, stance)
        except asyncio.CancelledError:  # the gateway ends, and the line is written in any case
            self._write(self._not_looked_at(entry, looks))
            raise
        self._write(entry)

    def _not_looked_at(self, entry: AuditEntry, looks: Looks) -> AuditEntry:
        if looks.searched is not None:
            self._metrics.keys_unsearched.inc()
        if looks.bodies is not None:
            entry = structs.replace(entry, asked=NOT_KEPT, said=NOT_KEPT)
        if looks.suspected is not None:
            entry = self._with_stance(entry, looks.suspected, ModelStance.UNJUDGED)
        return entry

    async def _stance(self, entry: AuditEntry, suspected: Suspected) -> ModelStance:
        try:
            answers = suspected.seen.said.answers()
            return await self._judging.stance(suspected.seen.question or "", answers)
        except Refusal:
            return ModelStance.UNJUDGED
        except Exception:  # the boundary: the line is written in any case
            LOG.exception("nobody judged the answer of %s", entry.request)
            return ModelStance.UNJUDGED

    def _with_stance(
        self,
        entry: AuditEntry,
        suspected: Suspected,
        stance: ModelStance,
    ) -> AuditEntry:
        self._metrics.stood(suspected.model, stance)
        return structs.replace(entry, stance=stance)

    async def _searched(self, entry: AuditEntry, seen: SeenTexts) -> AuditEntry:
        size = seen.size
        if self._searching_bytes + size > SEARCHING_BYTES_MOST:
            self._metrics.keys_unsearched.inc()
            return entry
        self._searching_bytes += size
        try:
            found = await self._judging.keys(seen)
            return _with_keys(entry, self._sightings.note(found))
        except Refusal:
            self._metrics.keys_unsearched.inc()
            return entry
        except Exception:  # the boundary: the line is written in any case
            LOG.exception("nobody searched %s for keys", entry.request)
            self._metrics.keys_unsearched.inc()
            return entry
        finally:
            self._searching_bytes -= size

    def _searched_here(self, entry: AuditEntry, seen: SeenTexts) -> AuditEntry:
        try:
            return _with_keys(entry, self._sightings.note(search_keys(seen)))
        except Exception:  # the boundary: the line is written in any case
            LOG.exception("nobody searched %s for keys", entry.request)
            self._metrics.keys_unsearched.inc()
            return entry

    async def _redacted(self, entry: AuditEntry, bodies: AuditBodies) -> AuditEntry:
        try:
            asked, said = await self._judging.redacted(bodies.beginnings())
        except Exception:  # the boundary: what cannot be redacted is not written
            LOG.exception("the audit log is without the bodies of %s", entry.request)
            asked = NOT_KEPT
            said = NOT_KEPT
        return structs.replace(entry, asked=asked, said=said)

    async def close(self) -> None:
        """Writes what is still to be written."""
        if self._writing:
            _, late = await asyncio.wait(self._writing, timeout=CLOSE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._audit.close()


def _looks(context: RequestContext) -> Looks:
    seen = context.observed.seen
    searched = seen if seen is not None and seen.is_searched else None
    suspected = None
    if seen is not None and seen.question is not None and seen.said.size > 0:
        suspected = Suspected(context.decided.alias, seen)
    return Looks(context.observed.bodies, searched, suspected)


def _with_keys(entry: AuditEntry, keys: list[str]) -> AuditEntry:
    return structs.replace(entry, keys=keys) if keys else entry


def _entry(context: RequestContext, total_s: float, *, build: str) -> AuditEntry:
    asked = context.asked
    observed = context.observed
    usage = observed.usage
    side = observed.side
    rated = context.decided.rated
    return AuditEntry(
        at=now(),
        request=asked.id,
        route=asked.route,
        status=observed.status,
        key=asked.key_id,
        ip=asked.ip,
        model=asked.model,
        prompt=context.decided.prompt,
        upstream=observed.upstream,
        member=observed.member,
        build=build,
        config=context.decided.config,
        model_digest=observed.model_digest,
        side="" if side == "stable" else side,
        stream=asked.streams,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        saved_tokens=context.decided.saved_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        audio_input_tokens=usage.audio_input_tokens,
        audio_output_tokens=usage.audio_output_tokens,
        dollars=round(observed.dollars, 9),
        cache=observed.cache,
        first_ms=round(observed.first_s * 1e3, 2),
        total_ms=round(total_s * 1e3, 2),
        guard=observed.guard_shown,
        error=observed.error[:ERROR_CHARS],
        ended=observed.ended,
        tags=asked.key.tags,
        rates="" if rated is None else rated.request,
        score=None if rated is None else rated.score,
        labels=[] if rated is None else rated.labels,
        order=observed.order,
    )
