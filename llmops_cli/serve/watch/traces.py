"""OpenTelemetry: a span for each request, named by its conventions for generative AI.

An optional library.
"""

from __future__ import annotations

from typing import Any

from llmops_cli import __version__
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.serve.context import Asked, Ended, Observed, RequestContext

TRACES_PATH = "/v1/traces"


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
    """Sends spans to an OTLP/HTTP collector, in batches, from a thread of its own.

    Prompts are never in them.
    """

    def __init__(self, endpoint: str) -> None:
        """Raises: EnvironmentMissing without the library."""
        try:
            from opentelemetry import trace
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

            self._provider = _provider(endpoint)
        except ImportError as error:
            raise EnvironmentMissing(
                "traces need OpenTelemetry",
                hint="pip install 'llmops-cli[otel]'",
            ) from error
        self._tracer = self._provider.get_tracer("llmops")
        self._kind = trace.SpanKind.SERVER
        self._status = trace.Status
        self._error = trace.StatusCode.ERROR
        self._context = TraceContextTextMapPropagator().extract

    def begin(self, context: RequestContext) -> None:
        asked = context.asked
        parent = None
        if asked.parent:
            parent = self._context({"traceparent": asked.parent})
        operation = asked.endpoint.operation
        span = self._tracer.start_span(
            f"{operation} {asked.model}",
            kind=self._kind,
            context=parent,
            attributes=_request_attributes(asked),
        )
        most_tokens = asked.answer_tokens()
        if most_tokens is not None:
            span.set_attribute("gen_ai.request.max_tokens", most_tokens)
        context.observed.trace = Trace(span)

    def end(self, context: RequestContext) -> None:
        observed = context.observed
        if observed.trace is None:
            return
        span = observed.trace.span
        span.set_attributes(_response_attributes(observed))
        if observed.status >= 500 or observed.ended is not Ended.OK:
            span.set_attribute("error.type", _error_type(observed))
            span.set_status(self._status(self._error, observed.error))
        span.end()

    def close(self) -> None:
        self._provider.shutdown()


def _provider(endpoint: str) -> Any:  # Any: an optional library's
    """Raises: ImportError."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    service = {"service.name": "llmops-gateway", "service.version": __version__}
    provider = TracerProvider(resource=Resource.create(service))
    exporter = OTLPSpanExporter(endpoint=_traces_url(endpoint))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _traces_url(endpoint: str) -> str:
    url = endpoint.rstrip("/")
    return url if url.endswith(TRACES_PATH) else url + TRACES_PATH


def _error_type(observed: Observed) -> str:
    """One of few, as the conventions want it: how the answer ended, or its status."""
    if observed.ended is not Ended.OK:
        return observed.ended
    return str(observed.status)


def _request_attributes(asked: Asked) -> dict[str, str | bool]:
    return {
        "gen_ai.operation.name": asked.endpoint.operation,
        "gen_ai.request.model": asked.model,
        "gen_ai.provider.name": "llmops",
        "http.route": asked.route,
        "llmops.request.id": asked.id,
        "llmops.key.id": asked.key_id,
        "llmops.stream": asked.streams,
    }


def _response_attributes(observed: Observed) -> dict[str, str | int | float]:
    return {
        "http.response.status_code": observed.status,
        "gen_ai.usage.input_tokens": observed.usage.input_tokens,
        "gen_ai.usage.output_tokens": observed.usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": observed.usage.cached_tokens,
        "gen_ai.usage.cache_creation.input_tokens": observed.usage.cache_write_tokens,
        "llmops.upstream": observed.upstream,
        "llmops.ended": observed.ended,
        "llmops.cost.dollars": observed.dollars,
        "llmops.cache": observed.cache,
        "llmops.guard": observed.guard_shown,
        "llmops.first_byte_s": observed.first_s,
    }
