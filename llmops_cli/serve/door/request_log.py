"""What is written of each request that has ended: metrics, a line of the audit log, a span."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from msgspec import structs

from llmops_cli.serve.context import RequestContext
from llmops_cli.serve.judging.judging import Judging
from llmops_cli.serve.watch.audit import AuditBodies, AuditEntry, AuditLog, now
from llmops_cli.serve.watch.metrics import Metrics

LOG = logging.getLogger("llmops.gateway")
NOT_KEPT = "[not kept: too much was to be redacted]"
WRITING_MOST = 500
"""Lines that wait for their bodies, of 64 KB each."""
CLOSE_S = 5.0
ERROR_CHARS = 256
"""Of what an upstream may have written."""


class RequestLog:
    def __init__(
        self,
        audit: AuditLog,
        metrics: Metrics,
        judging: Judging,
        tracer: Any = None,  # Any: an optional library's
    ) -> None:
        self._audit = audit
        self._metrics = metrics
        self._judging = judging
        self._tracer = tracer
        self._writing: set[asyncio.Task[None]] = set()

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
        entry = _entry(context, total_s)
        if context.observed.bodies is None:
            self._write(entry)
        else:
            self._write_with_bodies(entry, context.observed.bodies)
        if self._tracer is not None:
            self._tracer.end(context)

    def _write(self, entry: AuditEntry) -> None:
        lost = self._audit.lost
        self._audit.write(entry)
        if self._audit.lost > lost:
            self._metrics.audit_lost.inc(self._audit.lost - lost)

    def _write_with_bodies(self, entry: AuditEntry, bodies: AuditBodies) -> None:
        """The line comes when personal data is out of them, which nobody waits for."""
        if len(self._writing) >= WRITING_MOST:
            self._write(structs.replace(entry, asked=NOT_KEPT, said=NOT_KEPT))
            return
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._write_redacted(entry, bodies.beginnings()))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write_redacted(self, entry: AuditEntry, raws: list[bytes]) -> None:
        try:
            asked, said = await self._judging.redacted(raws)
        except Exception:  # the boundary: what cannot be redacted is not written
            LOG.exception("the audit log is without the bodies of %s", entry.request)
            asked = NOT_KEPT
            said = NOT_KEPT
        self._write(structs.replace(entry, asked=asked, said=said))

    async def close(self) -> None:
        """Writes what is still to be written."""
        if self._writing:
            await asyncio.wait(self._writing, timeout=CLOSE_S)
        self._audit.close()


def _entry(context: RequestContext, total_s: float) -> AuditEntry:
    asked = context.asked
    observed = context.observed
    side = observed.side
    return AuditEntry(
        at=now(),
        request=asked.id,
        route=asked.route,
        status=observed.status,
        key=asked.key_id,
        ip=asked.ip,
        model=asked.model,
        upstream=observed.upstream,
        side="" if side == "stable" else side,
        stream=asked.streams,
        input_tokens=observed.usage.input_tokens,
        output_tokens=observed.usage.output_tokens,
        cached_tokens=observed.usage.cached_tokens,
        reasoning_tokens=observed.usage.reasoning_tokens,
        dollars=round(observed.dollars, 9),
        cache=observed.cache,
        first_ms=round(observed.first_s * 1e3, 2),
        total_ms=round(total_s * 1e3, 2),
        guard=observed.guard_shown,
        error=observed.error[:ERROR_CHARS],
        ended=observed.ended,
        tags=asked.key.tags,
    )
