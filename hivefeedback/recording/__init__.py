"""The recorder's thread: what happened becomes rewards, weights and commits."""

from hivefeedback.recording.breaker import Breakers
from hivefeedback.recording.committer import Committer, Outgoing, write
from hivefeedback.recording.counters import Counters
from hivefeedback.recording.drops import Drops
from hivefeedback.recording.edge import Edge, EdgeOptions
from hivefeedback.recording.events import EventMaker
from hivefeedback.recording.feedback.awaiting import Awaiting
from hivefeedback.recording.feedback.join import Joins
from hivefeedback.recording.feedback.lookup import Lookup
from hivefeedback.recording.feedback.owners import Owners, origin_of
from hivefeedback.recording.feedback.peers import Peers
from hivefeedback.recording.incoming.intake import Intake, clean_id, cut
from hivefeedback.recording.incoming.letters import Letters, letter_key
from hivefeedback.recording.incoming.refusing import RefusingIntake, why_refused
from hivefeedback.recording.learning.learnt import Learnt, most_learnt
from hivefeedback.recording.learning.reward import RewardRule
from hivefeedback.recording.learning.shared import Evidence, Others, Told
from hivefeedback.recording.outbox import Outbox
from hivefeedback.recording.parts import Parts, RecorderOptions, Signals
from hivefeedback.recording.probes import Probes
from hivefeedback.recording.recorder import Recorder
from hivefeedback.recording.refresh import Refresher
from hivefeedback.recording.rollouts.harm import HarmTests
from hivefeedback.recording.rollouts.heard import Heard, Listener
from hivefeedback.recording.telling import tell_loaded
from hivefeedback.recording.thread import RecorderThread

__all__ = [
    "Awaiting",
    "Breakers",
    "Committer",
    "Counters",
    "Drops",
    "Edge",
    "EdgeOptions",
    "EventMaker",
    "Evidence",
    "HarmTests",
    "Heard",
    "Intake",
    "Joins",
    "Learnt",
    "Letters",
    "Listener",
    "Lookup",
    "Others",
    "Outbox",
    "Outgoing",
    "Owners",
    "Parts",
    "Peers",
    "Probes",
    "Recorder",
    "RecorderOptions",
    "RecorderThread",
    "Refresher",
    "RefusingIntake",
    "RewardRule",
    "Signals",
    "Told",
    "clean_id",
    "cut",
    "letter_key",
    "most_learnt",
    "origin_of",
    "tell_loaded",
    "why_refused",
    "write",
]
