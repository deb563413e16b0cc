"""For plugin authors: contract suites, a fake clock, fake deployments."""

from hivefeedback.testing.clock import FakeClock
from hivefeedback.testing.executor_contract import ExecutorContract
from hivefeedback.testing.gate_contract import GateContract
from hivefeedback.testing.scorer_contract import ScorerContract, event_of
from hivefeedback.testing.views import Seen, view_of

__all__ = ["ExecutorContract", "FakeClock", "GateContract", "ScorerContract", "Seen", "event_of", "view_of"]
