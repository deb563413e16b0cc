"""OpenTelemetry, outwards: runs, decisions and judgements as spans, sent by OTLP.

Extra: ``pip install 'hivefeedback[otel]'``. With ``OTEL_EXPORTER_OTLP_ENDPOINT`` set nothing else is
needed. In code:

    from hivefeedback_otel import configure_export

    export = configure_export("http://localhost:4318")
    loop = FeedbackLoop(deployments=[Deployment("a")])
    ...
    export.flush()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from hivefeedback.errors import MissingExtraError

if TYPE_CHECKING:
    from hivefeedback_otel.export import Export, configure_export
    from hivefeedback_otel.plugin import ExportPlugin, OtelPlugin

__all__ = ["Export", "ExportPlugin", "OtelPlugin", "configure_export"]

_HOMES = {"Export": "export", "ExportPlugin": "plugin", "OtelPlugin": "plugin", "configure_export": "export"}


def __getattr__(name: str) -> object:
    """Public names are imported when they are first used (PEP 562): this import works without the extra."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("opentelemetry"):
            raise MissingExtraError("the OpenTelemetry export", "otel") from error
        raise
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
