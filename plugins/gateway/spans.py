"""OpenTelemetry: a span for each request, named and described by the conventions for generative AI.

One span covers a request with all its attempts, as the conventions have it. It never holds a prompt or an answer. The
SDK's own thread sends spans from a bounded queue, and drops them when that is full: no request waits for a collector.
Source: open-telemetry/semantic-conventions-genai, `docs/gen-ai/gen-ai-spans.md`.
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from host.api import HostError
from plugins.gateway.exchange import Exchange
from plugins.gateway.settings import TracesSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

QUEUE_SPANS_MAX: Final = 4096
EXPORT_TIMEOUT_S: Final = 5.0
"""How long a collector may take for one batch, and how long the last one may hold up the end of the gateway."""
_OPERATIONS: Final[Mapping[str, str]] = {
    "chat": "chat",
    "messages": "chat",
    "responses": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
}
"""What the conventions call an operation; they have no word for the others, which keep their own."""
_PROVIDERS: Final[Mapping[str, str]] = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
"""Providers, or else their dialects, that the conventions know under another name."""


class Spans:
    """Makes spans of finished requests. `close` must be called at the end, in a thread: it waits for the last batch.

    Raises:
        HostError: OpenTelemetry is not installed.
    """

    def __init__(self, settings: TracesSettings, dialect_of: Callable[[str], str]) -> None:
        try:
            from opentelemetry.trace import SpanKind, Status, StatusCode
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError:
            reason = "plugins.gateway.traces needs OpenTelemetry: pip install 'quartet-host[otel]'"
            raise HostError(reason) from None
        self._dialect_of = dialect_of
        self._provider = _provider(settings)
        self._tracer = self._provider.get_tracer("quartet.gateway")
        self._parent_of = TraceContextTextMapPropagator().extract
        self._kind = SpanKind.CLIENT
        self._failed: Callable[[str], Status] = lambda reason: Status(StatusCode.ERROR, reason)

    def finished(self, exchange: Exchange) -> None:
        """A request is over: hand its span to the queue."""
        end_ns = time.time_ns()
        headers = exchange.headers
        # W3C Trace Context: the span becomes a child of the client's.
        carrier = {name: headers[name.encode()].decode("latin-1") for name in _CONTEXT if name.encode() in headers}
        operation = _OPERATIONS.get(exchange.surface, exchange.surface.replace("/", "_"))
        span = self._tracer.start_span(
            f"{operation} {exchange.model}".rstrip(),
            context=self._parent_of(carrier) if carrier else None,
            kind=self._kind,
            attributes=self._attributes(exchange, operation),
            start_time=end_ns - (time.perf_counter_ns() - exchange.began_ns),
        )
        if exchange.error or exchange.status >= 400:
            span.set_status(self._failed(exchange.error))
        span.end(end_ns)

    def close(self) -> None:
        """Send what is left, within `EXPORT_TIMEOUT_S`."""
        self._provider.shutdown()

    def _attributes(self, exchange: Exchange, operation: str) -> dict[str, str | int | float | bool]:
        made: dict[str, str | int | float | bool] = {
            "gen_ai.operation.name": operation,
            "gen_ai.request.model": exchange.model,
            "gen_ai.request.stream": exchange.stream,
            "http.response.status_code": exchange.status,
            "quartet.request_id": exchange.request_id,
            "quartet.cache": exchange.cache,
            "quartet.attempts": exchange.attempts,
        }
        if exchange.provider:
            name = exchange.provider
            made["quartet.provider"] = name
            made["gen_ai.provider.name"] = _PROVIDERS.get(name) or _PROVIDERS.get(self._dialect_of(name), name)
        if exchange.upstream_model:
            made["gen_ai.response.model"] = exchange.upstream_model
        if exchange.first_token_us and exchange.stream:
            made["gen_ai.response.time_to_first_chunk"] = exchange.first_token_us / 1e6
        if exchange.usage is not None:
            made["gen_ai.usage.input_tokens"] = exchange.usage.input_tokens
            made["gen_ai.usage.output_tokens"] = exchange.usage.output_tokens
            if exchange.usage.cached_tokens:
                made["gen_ai.usage.cache_read.input_tokens"] = exchange.usage.cached_tokens
        if exchange.key:
            made["quartet.key"] = exchange.key
        if exchange.error or exchange.status >= 400:
            made["error.type"] = exchange.error or str(exchange.status)
        return made


_CONTEXT: Final = ("traceparent", "tracestate")


def _provider(settings: TracesSettings) -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    exporter = OTLPSpanExporter(
        endpoint=settings.endpoint,
        headers={name: value.reveal() for name, value in settings.headers.items()},
        timeout=EXPORT_TIMEOUT_S,
    )
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.ratio)),
        resource=Resource.create({"service.name": settings.service_name}),
        # The gateway ends it itself, before its process does.
        shutdown_on_exit=False,
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter, max_queue_size=QUEUE_SPANS_MAX, export_timeout_millis=round(EXPORT_TIMEOUT_S * 1000)
        )
    )
    return provider
