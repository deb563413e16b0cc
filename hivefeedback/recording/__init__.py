"""The recorder's thread: what happened becomes rewards, weights and commits."""

from hivefeedback.recording.breaker import Breakers
from hivefeedback.recording.committer import Committer, write
from hivefeedback.recording.counters import Counters
from hivefeedback.recording.events import EventMaker
from hivefeedback.recording.harm import HarmTests
from hivefeedback.recording.heard import Heard, Listener
from hivefeedback.recording.intake import Intake, clean_id
from hivefeedback.recording.join import Joins
from hivefeedback.recording.lookup import Found, look_up
from hivefeedback.recording.outbox import Outbox
from hivefeedback.recording.parts import Parts, RecorderOptions
from hivefeedback.recording.recorder import Recorder
from hivefeedback.recording.refresh import Refresher
from hivefeedback.recording.reward import RewardRule
from hivefeedback.recording.thread import RecorderThread

__all__ = [
    "Breakers",
    "Committer",
    "Counters",
    "EventMaker",
    "Found",
    "HarmTests",
    "Heard",
    "Intake",
    "Joins",
    "Listener",
    "Outbox",
    "Parts",
    "Recorder",
    "RecorderOptions",
    "RecorderThread",
    "Refresher",
    "RewardRule",
    "clean_id",
    "look_up",
    "write",
]
