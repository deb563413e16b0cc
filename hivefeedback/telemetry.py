"""Every span, metric and attribute name that hivefeedback emits, in one table.

``gen_ai.*`` names follow the OpenTelemetry GenAI conventions; the published Python package marks
all its ``GEN_AI_*`` constants as deprecated since the conventions moved, so we own them.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "AGENT_NAME",
    "ASSIGNMENTS",
    "CONFIG_VERSION",
    "CONVERSATION_ID",
    "COST_USD",
    "DECISION_ID",
    "DEPLOYMENT",
    "ERROR_TYPE",
    "EVALUATION_EVENT",
    "EVALUATION_EXPLANATION",
    "EVALUATION_NAME",
    "EVALUATION_VALUE",
    "EVENTS_COUNT",
    "FEEDBACK_SOURCE",
    "FLAG_EVENT",
    "FLAG_KEY",
    "FLAG_REASON",
    "FLAG_VARIANT",
    "FLAG_VERSION",
    "HOOK_NAME",
    "LINK_KIND",
    "MUTATION_ID",
    "MUTATION_KIND",
    "MUTATION_STATE",
    "MUTATION_TARGET",
    "OPERATION",
    "OPERATION_NAME",
    "OUTCOME",
    "PARENT_SPAN",
    "PLUGIN_NAME",
    "PROPENSITY",
    "PROVIDER_NAME",
    "REASON",
    "REQUEST_MODEL",
    "RESPONSE_ID",
    "ROUTE_CANDIDATES",
    "RUN_ID",
    "SCOPE",
    "SPAN_HOOK",
    "SPAN_MUTATION",
    "SPAN_ROUTE",
    "SPAN_STAGE",
    "STAGES",
    "STAGE_NAME",
    "TIME_TO_FIRST_CHUNK",
    "TOKENS_IN",
    "TOKENS_OUT",
    "TOOL_NAME",
    "TURN_ID",
]

SCOPE: Final = "hivefeedback"
"""Instrumentation scope of all our spans; a processor that feeds the loop leaves these out."""
STAGES: Final = ("collect", "analyze", "plan", "validate", "execute", "monitor")

# span names, completed with the thing they are about
SPAN_ROUTE: Final = "route"
SPAN_STAGE: Final = "hivefeedback.stage"
SPAN_HOOK: Final = "hivefeedback.hook"
SPAN_MUTATION: Final = "hivefeedback.mutation"

# OpenTelemetry GenAI
OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_ID: Final = "gen_ai.response.id"
TOOL_NAME: Final = "gen_ai.tool.name"
AGENT_NAME: Final = "gen_ai.agent.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
TOKENS_IN: Final = "gen_ai.usage.input_tokens"
TOKENS_OUT: Final = "gen_ai.usage.output_tokens"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
EVALUATION_EVENT: Final = "gen_ai.evaluation.result"
EVALUATION_NAME: Final = "gen_ai.evaluation.name"
EVALUATION_VALUE: Final = "gen_ai.evaluation.score.value"
EVALUATION_EXPLANATION: Final = "gen_ai.evaluation.explanation"
ERROR_TYPE: Final = "error.type"

# OpenTelemetry feature flags: which arm of a rollout a decision is in
FLAG_EVENT: Final = "feature_flag.evaluation"
FLAG_KEY: Final = "feature_flag.key"
FLAG_VARIANT: Final = "feature_flag.result.variant"
FLAG_VERSION: Final = "feature_flag.version"
FLAG_REASON: Final = "feature_flag.result.reason"

# our own
RUN_ID: Final = "hivefeedback.run.id"
DECISION_ID: Final = "hivefeedback.decision.id"
DEPLOYMENT: Final = "hivefeedback.deployment"
OPERATION: Final = "hivefeedback.operation"
OUTCOME: Final = "hivefeedback.outcome"
COST_USD: Final = "hivefeedback.cost_usd"
CONFIG_VERSION: Final = "hivefeedback.config.version"
ASSIGNMENTS: Final = "hivefeedback.assignments"
PROPENSITY: Final = "hivefeedback.propensity"
REASON: Final = "hivefeedback.reason"
ROUTE_CANDIDATES: Final = "hivefeedback.route.candidates"
PARENT_SPAN: Final = "hivefeedback.parent_span"
"""Attribute of a root run: the application's own span around it, 16 hex digits."""
FEEDBACK_SOURCE: Final = "hivefeedback.feedback.source"
TURN_ID: Final = "hivefeedback.turn.id"
STAGE_NAME: Final = "hivefeedback.stage.name"
HOOK_NAME: Final = "hivefeedback.hook.name"
PLUGIN_NAME: Final = "hivefeedback.plugin.name"
EVENTS_COUNT: Final = "hivefeedback.events.count"
MUTATION_ID: Final = "hivefeedback.mutation.id"
MUTATION_KIND: Final = "hivefeedback.mutation.kind"
MUTATION_TARGET: Final = "hivefeedback.mutation.target"
MUTATION_STATE: Final = "hivefeedback.mutation.state"
LINK_KIND: Final = "hivefeedback.link.kind"
