"""What the pieces of the recorder share; the engine puts it together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hivefeedback.hooks import Policy
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import Event
from hivefeedback.recording.breaker import Breakers
from hivefeedback.recording.counters import Counters
from hivefeedback.recording.events import EventMaker
from hivefeedback.recording.harm import HarmTests
from hivefeedback.recording.intake import Intake
from hivefeedback.recording.join import Joins
from hivefeedback.recording.outbox import Outbox
from hivefeedback.recording.refresh import Refresher
from hivefeedback.recording.reward import RewardRule
from hivefeedback.recording.variants import Variants

__all__ = ["Parts", "RecorderOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderOptions:
    """The settings that the recorder needs; see ``Settings`` for their meaning.

    ``refresh_budget_s`` None and the other times 0 make the recorder run by counts alone, as a
    loop with a given clock needs it.
    """

    judgement_horizon_s: float
    unjudged_earns: bool
    agents_tracked: int
    commit_every_s: float
    refresh_every_s: float
    refresh_budget_s: float | None
    save_every_s: float
    exemplars_every_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The recorder's tools.

    ``lookup`` asks for feedback whose run is not in memory to be looked up in the store.
    """

    registry: Registry
    policy: Policy
    breakers: Breakers
    harm: HarmTests
    rule: RewardRule
    intake: Intake
    joins: Joins
    outbox: Outbox
    refresher: Refresher
    counters: Counters
    events: EventMaker
    clock: Callable[[], float]
    lookup: Callable[[Event], None]
    variants: Variants = field(default_factory=Variants)
