"""The few methods that a plugin implements, one protocol for each thing that a plugin can be.

Values that cross these borders live in ``hivefeedback.model`` and ``hivefeedback.stats``.
"""

from hivefeedback.hooks.protocols.judging import Executor, Gate, Ranked, Ranker, Scorer, Speaks, Tag, Voice
from hivefeedback.hooks.protocols.learning import KnowsOperations, LearnsAlike, LearnsShared, Observation, Policy
from hivefeedback.hooks.protocols.store import (
    Aggregates,
    Archive,
    ArchiveFactory,
    CarriedJournal,
    Commit,
    Config,
    EventLog,
    FollowedAggregates,
    Journal,
    Lease,
    ListedState,
    Record,
    Selector,
    State,
    Store,
    StoreFactory,
    TrimmedLog,
    WatchedJournal,
)

__all__ = [
    "Aggregates",
    "Archive",
    "ArchiveFactory",
    "CarriedJournal",
    "Commit",
    "Config",
    "EventLog",
    "Executor",
    "FollowedAggregates",
    "Gate",
    "Journal",
    "KnowsOperations",
    "LearnsAlike",
    "LearnsShared",
    "Lease",
    "ListedState",
    "Observation",
    "Policy",
    "Ranked",
    "Ranker",
    "Record",
    "Scorer",
    "Selector",
    "Speaks",
    "State",
    "Store",
    "StoreFactory",
    "Tag",
    "TrimmedLog",
    "Voice",
    "WatchedJournal",
]
