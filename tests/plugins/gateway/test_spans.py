"""Spans, as a real collector gets them over HTTP."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from host.errors import HostError
from plugins.gateway.settings import TracesSettings
from plugins.gateway.simulated.faults import Fault
from plugins.gateway.spans import Spans
from tests.plugins.gateway.kit import open_house

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Collector:
    """Takes batches of spans; while `held` is not set, it answers nobody."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.held = threading.Event()
        self.held.set()
        self.url = ""

    def spans(self) -> list[Any]:
        """All spans so far."""
        batches = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        resources = [resource for batch in batches for resource in batch.resource_spans]
        return [span for resource in resources for scope in resource.scope_spans for span in scope.spans]


@contextmanager
def open_collector() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.held.wait(60)
            collector.bodies.append(body)
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        collector.url = f"http://127.0.0.1:{server.server_port}/v1/traces"
        yield collector
    finally:
        collector.held.set()
        server.shutdown()
        thread.join()
        server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


async def test_each_request_has_a_span_by_the_conventions_and_nothing_that_was_said(tmp_path: Path) -> None:
    (tmp_path / "collector").write_text("the-collectors-key")
    with open_collector() as collector:
        traces = {"endpoint": collector.url, "headers": {"x-key": {"file": str(tmp_path / "collector")}}}
        async with open_house(tmp_path, traces=traces, retries={"rounds": 1}) as house:
            await house.chat("a secret question", "simulated-c/echo")
            await house.chat("a secret question", stream=True, store=True)
            await house.chat("a secret question", store=True)
            house.primary.break_with(Fault(kind="error"))
            traceparent = f"00-{TRACE}-00f067aa0ba902b7-01"
            body = {"model": "simulated/embed", "input": "a secret question"}
            await house.http.post("/v1/embeddings", json=body, headers={"traceparent": traceparent})
        # The end of the host has sent what was in the queue.
        gemini, stream, hit, failed = collector.spans()
        assert all(b"secret" not in body for body in collector.bodies)
        assert collector.headers[0]["x-key"] == "the-collectors-key"
        assert b"quartet-gateway" in collector.bodies[0]
    assert gemini.name == "chat simulated-c/echo"
    assert gemini.kind == 3  # CLIENT
    told = attributes(gemini)
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.provider.name"] == "gcp.gemini"
    assert told["gen_ai.request.model"] == "simulated-c/echo"
    assert told["gen_ai.response.model"] == "echo"
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (4, 4)
    assert told["quartet.cache"] == "bypass"
    assert gemini.end_time_unix_nano > gemini.start_time_unix_nano
    assert attributes(stream)["gen_ai.request.stream"] is True
    assert attributes(stream)["gen_ai.response.time_to_first_chunk"] > 0
    assert attributes(hit)["quartet.cache"] == "hit"
    assert attributes(hit)["quartet.attempts"] == 0
    assert failed.name == "embeddings simulated/embed"
    assert failed.trace_id.hex() == TRACE
    assert failed.parent_span_id.hex() == "00f067aa0ba902b7"
    assert failed.status.code == 2  # ERROR
    assert attributes(failed)["error.type"] == "upstream_error"
    assert attributes(failed)["http.response.status_code"] == 500


async def test_a_collector_that_does_not_answer_holds_nobody_up(tmp_path: Path) -> None:
    with open_collector() as collector:
        collector.held.clear()
        async with open_house(tmp_path, traces={"endpoint": collector.url}) as house:
            statuses: list[int] = []

            async def ask(number: int) -> None:
                for turn in range(30):
                    statuses.append((await house.chat(f"question {number} {turn}")).status_code)

            # More than a batch, which the exporter's thread then tries to get rid of.
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(ask, number)
            assert statuses == [200] * 600
            assert collector.bodies == []
            collector.held.set()


def test_without_the_package_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.trace", None)
    with pytest.raises(HostError, match=r"pip install 'quartet-host\[otel\]'"):
        Spans(TracesSettings(endpoint="http://127.0.0.1:1/v1/traces"), lambda name: "")
