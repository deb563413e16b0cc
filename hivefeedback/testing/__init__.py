"""For plugin authors: contract suites, a fake clock, fake deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hivefeedback.testing.clock import FakeClock
from hivefeedback.testing.executor_contract import ExecutorContract
from hivefeedback.testing.external_contract import ExternalExecutorContract
from hivefeedback.testing.faults import Faults, FaultyStores
from hivefeedback.testing.gate_contract import GateContract
from hivefeedback.testing.policies import EvenPolicy, FixedPolicy
from hivefeedback.testing.policy_contract import PolicyContract, play
from hivefeedback.testing.ranker_contract import RankerContract
from hivefeedback.testing.scorer_contract import ScorerContract, event_of
from hivefeedback.testing.views import Seen, view_of

if TYPE_CHECKING:
    from hivefeedback.testing.store_contract import StoreContract

__all__ = [
    "EvenPolicy",
    "ExecutorContract",
    "ExternalExecutorContract",
    "FakeClock",
    "Faults",
    "FaultyStores",
    "FixedPolicy",
    "GateContract",
    "PolicyContract",
    "RankerContract",
    "ScorerContract",
    "Seen",
    "StoreContract",
    "event_of",
    "play",
    "view_of",
]


def __getattr__(name: str) -> object:
    """The store suite needs pytest, the fakes do not: it is imported when asked for."""
    if name != "StoreContract":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hivefeedback.testing.store_contract import StoreContract

    return StoreContract
