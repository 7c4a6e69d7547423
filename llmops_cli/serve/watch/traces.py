"""OpenTelemetry: a span for each request, with the names of its conventions for generative AI. An
optional library.
"""

from __future__ import annotations

from typing import Any

from llmops_cli import __version__
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.serve.request import Ask, Talk

OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/messages": "chat",
    "/v1/responses": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
}


class Trace:
    """A request's span."""

    __slots__ = ("span",)

    def __init__(self, span: Any) -> None:  # Any: an optional library's
        self.span = span

    def parent(self) -> bytes:
        """For the upstream, which may go on with the trace (W3C trace context)."""
        context = self.span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}".encode()


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

    def begin(self, talk: Talk, ask: Ask) -> None:
        operation = OPERATIONS.get(talk.route, "chat")
        context = self._context({"traceparent": talk.parent}) if talk.parent else None
        span = self._tracer.start_span(
            f"{operation} {ask.model}",
            kind=self._kind,
            context=context,
            attributes={
                "gen_ai.operation.name": operation,
                "gen_ai.request.model": ask.model,
                "gen_ai.provider.name": "llmops",
                "http.route": talk.route,
                "llmops.request.id": talk.id,
                "llmops.key.id": talk.key,
                "llmops.stream": bool(ask.stream),
            },
        )
        if ask.wanted_tokens() is not None:
            span.set_attribute("gen_ai.request.max_tokens", ask.wanted_tokens())
        talk.trace = Trace(span)

    def end(self, talk: Talk) -> None:
        if talk.trace is None:
            return
        span = talk.trace.span
        span.set_attributes(
            {
                "http.response.status_code": talk.status,
                "gen_ai.usage.input_tokens": talk.usage.input_tokens,
                "gen_ai.usage.output_tokens": talk.usage.output_tokens,
                "llmops.upstream": talk.upstream,
                "llmops.cost.dollars": talk.cost,
                "llmops.cache": talk.cache,
                "llmops.guard": talk.guard,
                "llmops.first_byte_s": talk.first,
            }
        )
        if talk.status >= 500 or talk.status == 499:
            span.set_attribute("error.type", talk.error or str(talk.status))
            span.set_status(self._status(self._error, talk.error))
        span.end()

    def close(self) -> None:
        self._provider.shutdown()
