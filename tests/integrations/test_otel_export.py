"""The export: own ids and parents, the global provider, the plugin that wakes up by itself."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from hivefeedback import Feedback, FeedbackLoop, Run, telemetry
from hivefeedback.errors import ConfigurationError, MissingExtraError
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import DecisionRecord, Event
from hivefeedback.testing import FakeClock
from hivefeedback_otel import Export, ExportPlugin, OtelPlugin, configure_export
from hivefeedback_otel.plugin import OtelOptions
from hivefeedback_otel.spans import Place, SpanData

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
EVENTS = (
    Event("p", 1, 1, "d1", 1.0, 1.0, DecisionRecord("x", deployment="a", propensity=0.5)),
    Event("p", 1, 2, "r1", 1.0, 1.0, Run("a", "x", "timeout", 0.5, trace_id=TRACE, span_id=SPAN, decision_id="d1")),
    Event("p", 1, 3, "f1", 2.0, 2.0, Feedback("rating", 0.5, run_id="r1")),
)


def sent(export: Export, memory: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    assert export.flush()
    return {span.name: span for span in memory.get_finished_spans()}


@pytest.fixture
def memory() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def unset_global(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry's global provider as in a fresh process."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", type(trace._TRACER_PROVIDER_SET_ONCE)())


def test_a_batch_is_sent_with_ids_parents_and_times(memory: InMemorySpanExporter) -> None:
    export = Export.to(memory, "my-service")
    ExportPlugin(export).hive_collect(EVENTS)
    spans = sent(export, memory)
    route, chat, evaluation = spans["route x"], spans["chat a"], spans["evaluation rating"]
    assert chat.context is not None
    assert route.context is not None
    assert chat.parent is not None
    assert evaluation.parent is not None
    assert (chat.context.trace_id, chat.context.span_id) == (int(TRACE, 16), int(SPAN, 16))
    assert chat.parent.span_id == route.context.span_id
    assert route.parent is None
    assert evaluation.parent.span_id == int(SPAN, 16)
    assert (chat.start_time, chat.end_time) == (1_000_000_000, 1_500_000_000)
    assert chat.kind is trace.SpanKind.CLIENT
    assert chat.status.status_code is trace.StatusCode.ERROR
    assert evaluation.events[0].name == telemetry.EVALUATION_EVENT
    assert chat.resource.attributes["service.name"] == "my-service"
    assert chat.instrumentation_scope is not None
    assert chat.instrumentation_scope.name == telemetry.SCOPE
    export.close()


def test_a_current_span_of_the_thread_is_never_taken_as_parent(memory: InMemorySpanExporter) -> None:
    export = Export.to(memory)
    current = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))
    with trace.use_span(current):
        export.emit(SpanData("alone", Place(7, 8), 0, 0, 0, {}))
    alone = sent(export, memory)["alone"]
    assert alone.parent is None
    assert alone.context is not None
    assert alone.context.trace_id == 7
    export.close()


def test_other_spans_of_the_provider_get_ids_of_their_own(memory: InMemorySpanExporter) -> None:
    export = Export.to(memory)
    export.emit(SpanData("ours", Place(7, 8), 0, 0, 0, {}))
    export.provider.get_tracer("app").start_span("theirs").end()
    theirs = sent(export, memory)["theirs"].context
    assert theirs is not None
    assert theirs.trace_id != 7
    assert theirs.span_id != 8
    export.close()


def test_an_exporter_that_fails_costs_its_spans_only(caplog: pytest.LogCaptureFixture) -> None:
    class Down(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            raise ConnectionError("down")

    export = Export.to(Down())
    with caplog.at_level(logging.CRITICAL):
        ExportPlugin(export).hive_collect(EVENTS)
        export.flush()
    export.close()
    export.close()
    assert ExportPlugin(export).hive_collect(EVENTS) is None
    assert not export.flush()


@pytest.mark.usefixtures("unset_global")
def test_the_export_becomes_global_where_none_is_set_and_the_plugin_finds_it(memory: InMemorySpanExporter) -> None:
    plugin = OtelPlugin()
    plugin.hive_collect(EVENTS)
    export = Export.to(memory)
    assert export.become_global()
    plugin.hive_collect(EVENTS)
    assert set(sent(export, memory)) == {"route x", "chat a", "evaluation rating"}
    assert not Export.to(InMemorySpanExporter()).become_global()
    assert trace.get_tracer_provider() is export.provider
    export.close()


@pytest.mark.usefixtures("unset_global")
def test_a_passed_export_is_served_once_even_where_it_is_global(memory: InMemorySpanExporter) -> None:
    export = Export.to(memory)
    export.become_global()
    registry = Registry(is_inline=True)
    registry.add(OtelPlugin())
    registry.add(ExportPlugin(export))
    registry.collect(EVENTS)
    assert export.flush()
    assert [s.name for s in memory.get_finished_spans()].count("chat a") == 1
    export.close()


@pytest.mark.usefixtures("unset_global")
def test_an_application_that_sets_its_provider_while_it_starts_finds_the_place_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    plugin = OtelPlugin()
    plugin.configure(OtelOptions())
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    assert plugin._export is not None
    plugin.hive_collect(())
    plugin._export.close()
    assert trace.get_tracer_provider() is plugin._export.provider


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_an_endpoint_the_plugin_sleeps(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    plugin = OtelPlugin()
    plugin.configure(OtelOptions())
    assert plugin._export is None
    assert plugin.hive_collect(EVENTS) is None


def test_without_the_sdk_only_an_explicit_endpoint_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _without_the_sdk(monkeypatch)
    quiet = OtelPlugin()
    quiet.configure(OtelOptions())
    assert quiet._export is None
    with pytest.raises(MissingExtraError, match="hivefeedback\\[otel\\]"):
        OtelPlugin().configure(OtelOptions(endpoint="http://127.0.0.1:9"))


def test_an_endpoint_that_is_not_served_is_said_once_at_start_and_by_doctor(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _without_the_sdk(monkeypatch)
    with FeedbackLoop(store="memory://", deployments=["a"], clock=FakeClock()) as loop:
        loop.record(Run("a", "x/qa", "ok", 0.1))
        (info,) = (plugin for plugin in loop.registry.plugins() if plugin.name == "otel")
    said = [r.message for r in caplog.records if r.name.startswith("hivefeedback_otel")]
    assert said == [info.note]
    assert info.note.startswith("the OTLP endpoint http://127.0.0.1:9 is set, and nothing is sent there: ")
    assert "hivefeedback[otel]" in info.note


def _without_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extra is missing, and an endpoint is set."""
    monkeypatch.delitem(sys.modules, "hivefeedback_otel.export", raising=False)
    monkeypatch.delattr("hivefeedback_otel.export", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")


def test_an_unknown_protocol_is_named() -> None:
    with pytest.raises(ConfigurationError, match="'thrift'"):
        configure_export("http://127.0.0.1:9", protocol="thrift")  # type: ignore[arg-type]  # wrong on purpose


def test_the_package_shows_its_public_names_only() -> None:
    import hivefeedback_otel

    assert dir(hivefeedback_otel) == sorted(hivefeedback_otel.__all__)
    with pytest.raises(AttributeError):
        _ = hivefeedback_otel.nothing
