"""What is written of each request that has ended: metrics, a line of the audit log, a span."""

from __future__ import annotations

import time
from typing import Any

from llmops_cli.serve.context import RequestContext
from llmops_cli.serve.watch.audit import AuditEntry, AuditLog, now
from llmops_cli.serve.watch.metrics import Metrics

ERROR_CHARS = 256
"""Of what an upstream may have written."""


class RequestLog:
    def __init__(
        self,
        audit: AuditLog,
        metrics: Metrics,
        tracer: Any = None,  # Any: an optional library's
    ) -> None:
        self._audit = audit
        self._metrics = metrics
        self._tracer = tracer

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
        lost = self._audit.lost
        self._audit.write(_entry(context, total_s), context.observed.bodies)
        if self._audit.lost > lost:
            self._metrics.audit_lost.inc(self._audit.lost - lost)
        if self._tracer is not None:
            self._tracer.end(context)

    def close(self) -> None:
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
        dollars=round(observed.dollars, 9),
        cache=observed.cache,
        first_ms=round(observed.first_s * 1e3, 2),
        total_ms=round(total_s * 1e3, 2),
        guard=observed.guard_shown,
        error=observed.error[:ERROR_CHARS],
        ended=observed.ended,
        tags=asked.key.tags,
    )
