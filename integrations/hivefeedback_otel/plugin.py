"""Sends every run, decision and judgement as a span; asleep until an endpoint is configured.

It wakes up where ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or ``…_TRACES_ENDPOINT``) is set and the extra is
installed, where its option ``endpoint`` is given, or where ``configure_export`` was called. The SDK is
imported only then.

    FeedbackLoop(options={"otel": {"endpoint": "http://localhost:4318"}})
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from opentelemetry import trace

from hivefeedback import Plugin, hookimpl
from hivefeedback.errors import MissingExtraError
from hivefeedback.hooks import Collected
from hivefeedback.model import Event, shown_url
from hivefeedback_otel.spans import SpanMaker

if TYPE_CHECKING:
    from hivefeedback_otel.export import Export, Protocol

__all__ = ["ExportPlugin", "OtelOptions", "OtelPlugin"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtelOptions:
    """Options of the ``otel`` plugin.

    Args:
        endpoint: Base URL of an OTLP receiver; empty: what the environment says.
        protocol: ``http`` or ``grpc``; empty: what the environment says, else ``http``.
        service_name: Empty: ``OTEL_SERVICE_NAME``, else ``hivefeedback``.
    """

    endpoint: str = ""
    protocol: Literal["", "http", "grpc"] = ""
    service_name: str = ""


class OtelPlugin(Plugin):
    """Turns batches into spans, where an endpoint is configured."""

    name = "otel"
    Options: ClassVar[type | None] = OtelOptions

    def __init__(self) -> None:
        self._export: Export | None = None
        self._maker = SpanMaker()
        self._shall_become_global = False
        self._note = ""

    @property
    def note(self) -> str:
        """What people should know who list the plugins: an endpoint that is set and not served."""
        return self._note

    def configure(self, options: object) -> None:
        """Build the export where an endpoint is configured; imports belong to the start.

        Raises:
            MissingExtraError: The option ``endpoint`` is given and the extra is not installed.
        """
        if not isinstance(options, OtelOptions):
            return
        if not options.endpoint and not _wanted(os.environ):
            return
        try:
            self._export = _open(options, os.environ)
            self._shall_become_global = True
        except MissingExtraError as error:
            if options.endpoint:
                raise
            self._note = (
                f"the OTLP endpoint {shown_url(_wanted(os.environ))} is set, and nothing is sent there: {error}"
            )
            log.warning("%s", self._note)

    @hookimpl
    def hive_collect(self, events: Sequence[Event]) -> Collected | None:
        """Emit the spans of a batch; changes nothing."""
        export = self._awake()
        if export is not None:
            for span in self._maker.spans(events):
                export.emit(span)
        return None

    def _awake(self) -> Export | None:
        """The export; the global provider is claimed with the first batch.

        Not earlier: an application that sets its own provider while it starts must find the place free.
        """
        if self._shall_become_global and self._export is not None:
            self._shall_become_global = False
            self._export.become_global()
        if self._export is not None:
            return self._export
        current: Export | None = getattr(trace.get_tracer_provider(), "hivefeedback_export", None)
        return None if current is None or current.is_passed else current


class ExportPlugin(OtelPlugin):
    """Sends to a given export, for applications whose own tracer provider is the global one.

    ``FeedbackLoop(plugins=[ExportPlugin(configure_export("http://localhost:4318"))])``
    """

    name = "otel_export"
    Options: ClassVar[type | None] = None

    def __init__(self, export: Export) -> None:
        super().__init__()
        self._export = export
        export.is_passed = True


def _open(options: OtelOptions, environ: Mapping[str, str]) -> Export:
    try:
        from hivefeedback_otel import export
    except ModuleNotFoundError as error:
        raise MissingExtraError("the OpenTelemetry export", "otel") from error
    protocol: Protocol = options.protocol or _protocol(environ)
    service = options.service_name or environ.get("OTEL_SERVICE_NAME") or "hivefeedback"
    return export.Export.to(export.exporter_to(options.endpoint or None, protocol), service)


def _wanted(environ: Mapping[str, str]) -> str:
    """Where the standard variables ask for traces by OTLP; empty: nowhere."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ""
    if environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() == "none":
        return ""
    return environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or ""


def _protocol(environ: Mapping[str, str]) -> Protocol:
    said = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http"
    return "grpc" if said.strip().lower() == "grpc" else "http"
