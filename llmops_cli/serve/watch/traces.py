"""OpenTelemetry: a span for each request, with the names of its conventions for generative AI. An
optional library.
"""

from __future__ import annotations

from typing import Any

from llmops_cli import __version__
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.serve.context import RequestContext


class Trace:
    """A request's span."""

    __slots__ = ("span",)

    def __init__(self, span: Any) -> None:  # Any: an optional library's
        self.span = span

    def parent(self) -> bytes:
        """For the upstream, which may go on with the trace (W3C trace context)."""
        span = self.span.get_span_context()
        shown = f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags):02x}"
        return shown.encode()


class Tracer:
    """Sends spans to an OTLP/HTTP collector, in batches, from a thread of its own. Prompts are
    never in them.
    """

    def __init__(self, endpoint: str) -> None:
        try:
            from opentelemetry import trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            raise EnvironmentMissing(
                "traces need OpenTelemetry", hint="pip install 'llmops-cli[otel]'"
            ) from error
        resource = Resource.create(
            {"service.name": "llmops-gateway", "service.version": __version__}
        )
        self._provider = TracerProvider(resource=resource)
        url = endpoint.rstrip("/")
        exporter = OTLPSpanExporter(
            endpoint=url if url.endswith("/v1/traces") else f"{url}/v1/traces"
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("llmops")
        self._kind = trace.SpanKind.SERVER
        self._status = trace.Status
        self._error = trace.StatusCode.ERROR
        self._context = TraceContextTextMapPropagator().extract

    def begin(self, context: RequestContext) -> None:
        asked = context.asked
        operation = asked.endpoint.operation
        parent = None
        if asked.parent:
            parent = self._context({"traceparent": asked.parent})
        span = self._tracer.start_span(
            f"{operation} {asked.body.model}",
            kind=self._kind,
            context=parent,
            attributes={
                "gen_ai.operation.name": operation,
                "gen_ai.request.model": asked.body.model,
                "gen_ai.provider.name": "llmops",
                "http.route": asked.route,
                "llmops.request.id": asked.id,
                "llmops.key.id": asked.key_id,
                "llmops.stream": asked.streams,
            },
        )
        limit = asked.answer_tokens()
        if limit is not None:
            span.set_attribute("gen_ai.request.max_tokens", limit)
        context.observed.trace = Trace(span)

    def end(self, context: RequestContext) -> None:
        observed = context.observed
        if observed.trace is None:
            return
        span = observed.trace.span
        span.set_attributes(
            {
                "http.response.status_code": observed.status,
                "gen_ai.usage.input_tokens": observed.usage.input_tokens,
                "gen_ai.usage.output_tokens": observed.usage.output_tokens,
                "llmops.upstream": observed.upstream,
                "llmops.cost.dollars": observed.dollars,
                "llmops.cache": observed.cache,
                "llmops.guard": observed.guard_shown,
                "llmops.first_byte_s": observed.first_s,
            }
        )
        if observed.status >= 500 or observed.status == 499:
            span.set_attribute("error.type", observed.error or str(observed.status))
            span.set_status(self._status(self._error, observed.error))
        span.end()

    def close(self) -> None:
        self._provider.shutdown()
