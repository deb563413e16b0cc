"""Runs, decisions, feedback and stages as OpenTelemetry spans; offline they are printed.

With ``OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318`` set they go there, without a line of code.
"""

from __future__ import annotations

import os

from opentelemetry.sdk.trace.export import ConsoleSpanExporter

from hivefeedback import Deployment, Feedback, FeedbackLoop, Mutation, MutationKind, Run
from hivefeedback_otel import Export

TRACE = "0af7651916cd43dd8448eb211c80319c"
OPERATION = "text-to-text/medical"


def main() -> None:
    if "OTEL_EXPORTER_OTLP_ENDPOINT" not in os.environ:
        Export.to(ConsoleSpanExporter(formatter=lambda span: f"{span.name}\n")).become_global()
    loop = FeedbackLoop(store="memory://", deployments=[Deployment("small"), Deployment("large")], seed=7)
    decision = loop.decide(OPERATION)
    served = decision.deployment or "small"
    run_id = loop.record(
        Run(served, OPERATION, "ok", 0.4, trace_id=TRACE, span_id=TRACE[16:], decision_id=decision.decision_id)
    )
    loop.feedback(Feedback("rating", rating=4, run_id=run_id, source="user"))
    loop.flush()
    loop.propose(
        Mutation(kind=MutationKind.ROUTE_CHANGE, target=OPERATION, to=["large"], evidence=(TRACE,), reason="a person's")
    )
    loop.turn()
    loop.close()


if __name__ == "__main__":
    main()
