"""A stranger's plugin for hivefeedback: one analyzer, one gate, one scorer, one store."""

from hivefeedback_example.analyzer import slow_deployments
from hivefeedback_example.gate import ReasonGate
from hivefeedback_example.plugin import ExamplePlugin, Options
from hivefeedback_example.scorer import BrevityScorer
from hivefeedback_example.store import AuditedStore

__all__ = ["AuditedStore", "BrevityScorer", "ExamplePlugin", "Options", "ReasonGate", "slow_deployments"]
