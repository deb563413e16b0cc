"""What the pieces of the recorder share; the engine puts it together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from hivefeedback.hooks import Policy
from hivefeedback.hooks.registry import Registry
from hivefeedback.recording.breaker import Breakers
from hivefeedback.recording.counters import Counters
from hivefeedback.recording.drops import Drops
from hivefeedback.recording.edge import Edge
from hivefeedback.recording.events import EventMaker
from hivefeedback.recording.feedback.awaiting import Awaiting
from hivefeedback.recording.feedback.join import Joins
from hivefeedback.recording.feedback.lookup import Lookup
from hivefeedback.recording.feedback.owners import Owners
from hivefeedback.recording.incoming.intake import Intake
from hivefeedback.recording.incoming.letters import Letters
from hivefeedback.recording.learning.reward import RewardRule
from hivefeedback.recording.learning.shared import Evidence
from hivefeedback.recording.outbox import Outbox
from hivefeedback.recording.probes import Probes
from hivefeedback.recording.refresh import Refresher
from hivefeedback.recording.rollouts.harm import HarmTests
from hivefeedback.recording.rollouts.variants import Variants

__all__ = ["Ask", "Parts", "RecorderOptions", "Signals"]

T = TypeVar("T")


class Ask(Protocol):
    """Asks the store on its thread; the answer is taken on the recorder's.

    Args:
        question: Asked once.
        answer: Takes what the store said.
        otherwise: Called instead where the store could not be asked.
    """

    def __call__(
        self, question: Callable[[], T], answer: Callable[[T], object], otherwise: Callable[[], object] = ..., /
    ) -> None: ...


@dataclass(slots=True)
class Signals:
    """What the pieces raise for the recorder.

    Args:
        is_shut_dirty: A breaker changed or a harm test tripped: what may be served is then not what
            the snapshot says.
        has_learnt: The policy knows something new.
        n_learnt: Observations that it knows of, in this process and those before it.
        seen: Origin → number of the last increment that the policy knows of it.
        shut_out: Variants with an open breaker that calls came for here.
    """

    is_shut_dirty: bool = True
    has_learnt: bool = False
    n_learnt: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    shut_out: dict[str, None] = field(default_factory=dict)

    def want(self, variant: str) -> None:
        """A call came for a variant that its breaker kept it from, or that failed and opened it."""
        if variant not in self.shut_out:
            self.shut_out[variant] = None
            self.is_shut_dirty = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderOptions:
    """The settings that the recorder needs; see ``Settings`` for their meaning.

    ``refresh_budget_s`` None and the other times 0 make the recorder run by counts alone, as a
    loop with a given clock needs it.
    """

    judgement_horizon_s: float
    query_success_from: float
    unjudged_earns: bool
    agents_tracked: int
    commit_every_s: float
    refresh_every_s: float
    refresh_budget_s: float | None
    save_every_s: float
    exemplars_every_s: float
    ask_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The recorder's tools."""

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
    drops: Drops
    events: EventMaker
    clock: Callable[[], float]
    owners: Owners
    awaiting: Awaiting
    lookup: Lookup
    letters: Letters
    ask: Ask
    probes: Probes
    signals: Signals = field(default_factory=Signals)
    edge: Edge | None = None
    evidence: Evidence | None = None
    variants: Variants = field(default_factory=Variants)
