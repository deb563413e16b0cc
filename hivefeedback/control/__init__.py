"""The turn and the journal: what changes, who agreed, and how to take it back."""

from hivefeedback.control.control import Control
from hivefeedback.control.counts import read_counts
from hivefeedback.control.keeper import JournalKeeper
from hivefeedback.control.options import ControlOptions
from hivefeedback.control.stages import Stages
from hivefeedback.control.turn import Turn
from hivefeedback.control.why import Why, WhyStep
from hivefeedback.stats import counts_key, decode_counts, encode_counts, merge_counts

__all__ = [
    "Control",
    "ControlOptions",
    "JournalKeeper",
    "Stages",
    "Turn",
    "Why",
    "WhyStep",
    "counts_key",
    "decode_counts",
    "encode_counts",
    "merge_counts",
    "read_counts",
]
