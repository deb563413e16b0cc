"""What a real OTLP receiver sees: protobuf over HTTP from a program, and over gRPC."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc  # type: ignore[import-untyped]  # it ships no types
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from hivefeedback import Run
from hivefeedback.model import Event
from hivefeedback_otel import ExportPlugin
from hivefeedback_otel.export import Export, exporter_to

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Received:
    """Spans and service names that arrived."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.paths: set[str] = set()
        self.url = ""

    def take(self, request: trace_service_pb2.ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            self.services |= {a.value.string_value for a in resource.resource.attributes if a.key == "service.name"}
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    def named(self, start: str) -> list[Span]:
        return [span for span in self.spans if span.name.startswith(start)]

    def one(self, start: str) -> Span:
        (span,) = self.named(start)
        return span


@pytest.fixture
def receiver() -> Iterator[Received]:
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name that http.server calls
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            received.paths.add(self.path)
            received.take(trace_service_pb2.ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    received.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield received
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_endpoint_in_the_environment_is_all_that_a_program_needs(receiver: Received, repository: Path) -> None:
    environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_SERVICE_NAME": "my-agents"}
    program = [sys.executable, str(repository / "examples" / "otel_export.py")]
    done = subprocess.run(program, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert receiver.paths == {"/v1/traces"}
    assert receiver.services == {"my-agents"}

    chat, route, evaluation = receiver.one("chat"), receiver.one("route"), receiver.one("evaluation rating")
    assert chat.trace_id.hex() == TRACE
    assert chat.span_id.hex() == TRACE[16:]
    assert (chat.parent_span_id, route.parent_span_id) == (route.span_id, b"")
    assert (evaluation.parent_span_id, evaluation.trace_id) == (chat.span_id, chat.trace_id)
    assert evaluation.events[0].name == "gen_ai.evaluation.result"
    assert chat.end_time_unix_nano - chat.start_time_unix_nano == 400_000_000
    attributes = {a.key for a in chat.attributes}
    assert {"hivefeedback.config.version", "hivefeedback.propensity", "gen_ai.operation.name"} <= attributes

    stages = {span.name: span for span in receiver.named("hivefeedback.stage")}
    assert {"hivefeedback.stage analyze", "hivefeedback.stage plan", "hivefeedback.stage monitor"} <= set(stages)
    inner = receiver.named("hivefeedback.hook hive_analyze")
    assert inner
    assert {s.parent_span_id for s in inner} == {stages["hivefeedback.stage analyze"].span_id}
    links = [link for span in receiver.named("hivefeedback.mutation") for link in span.links]
    assert links
    assert {(link.trace_id, link.span_id) for link in links} == {(chat.trace_id, chat.span_id)}


def test_a_dead_endpoint_neither_fails_nor_holds_up_a_program(repository: Path) -> None:
    environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    program = [sys.executable, str(repository / "examples" / "otel_export.py")]
    done = subprocess.run(program, env=environ, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_spans_leave_by_grpc_too() -> None:
    received = Received()

    class Service(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(  # noqa: N802  # the name of the remote procedure
            self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
        ) -> trace_service_pb2.ExportTraceServiceResponse:
            received.take(request)
            return trace_service_pb2.ExportTraceServiceResponse()

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Service(), server)  # type: ignore[no-untyped-call]  # generated
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    export = Export.to(exporter_to(f"http://127.0.0.1:{port}", "grpc"))
    ExportPlugin(export).hive_collect([Event("p", 1, 1, "r", 1.0, 1.0, Run("a", trace_id=TRACE))])
    assert export.flush()
    export.close()
    server.stop(None).wait()
    assert received.one("chat a").trace_id.hex() == TRACE
