"""For plugin authors: contract suites, a fake clock, fake deployments."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from hivefeedback.testing.clock import FakeClock
from hivefeedback.testing.gate_contract import GateContract
from hivefeedback.testing.scorer_contract import ScorerContract, event_of
from hivefeedback.testing.views import Seen, view_of

if TYPE_CHECKING:
    from hivefeedback.testing.executor_contract import ExecutorContract
    from hivefeedback.testing.store_contract import StoreContract

__all__ = [
    "ExecutorContract",
    "FakeClock",
    "GateContract",
    "ScorerContract",
    "Seen",
    "StoreContract",
    "event_of",
    "view_of",
]


_LAZY = {
    "ExecutorContract": "hivefeedback.testing.executor_contract",
    "StoreContract": "hivefeedback.testing.store_contract",
}


def __getattr__(name: str) -> object:
    """Suites that need pytest are imported when they are first used; the fakes need none."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
