"""Gates: what may not pass."""

from hivefeedback_gates.conflict import Conflict, ConflictGate, ConflictOptions
from hivefeedback_gates.limits import Limits, LimitsGate, LimitsOptions
from hivefeedback_gates.taint import Taint, TaintGate, TaintOptions
from hivefeedback_gates.undo import Undo, UndoGate, UndoOptions

__all__ = [
    "Conflict",
    "ConflictGate",
    "ConflictOptions",
    "Limits",
    "LimitsGate",
    "LimitsOptions",
    "Taint",
    "TaintGate",
    "TaintOptions",
    "Undo",
    "UndoGate",
    "UndoOptions",
]
