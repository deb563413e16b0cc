"""Takes in what other processes learnt, and tells them what this one did."""

from __future__ import annotations

from collections.abc import Sequence

from hivefeedback.model import LearningShared, LearntElsewhere
from hivefeedback.recording.feedback.judge import Judge
from hivefeedback.recording.learning.learnt import Learnt
from hivefeedback.recording.learning.shared import Told
from hivefeedback.recording.parts import Parts

__all__ = ["Sharing"]

_ORIGINS = 1000
"""Processes of which it is kept how much of what they learnt is known; what they tell is there for minutes."""


class Sharing:
    """Between the policy here and those of the other processes."""

    def __init__(self, parts: Parts, judge: Judge) -> None:
        self._p, self._judge = parts, judge

    def take(self, told: Sequence[Told], *, is_logged: bool) -> None:
        """Hand the policy what others learnt.

        Args:
            told: Their increments.
            is_logged: Whether this process records, and says in the log what it took in.
        """
        for origin, number, rows in told:
            self._see(origin, number)
            self._judge.learn_shared(rows)
            if is_logged:
                self._p.events.tell(LearntElsewhere(origin, number))

    def tell(self, dump: bytes) -> None:
        """What the policy knows, and which increments of whom are in it; in one commit with the own one."""
        p, own, name = self._p, self._p.owners.own, self._p.policy.name
        increment = p.evidence.take()
        if increment is not None:
            p.outbox.put(increment.record(name, own, p.owners.now()))
            p.events.tell(LearningShared(increment.number, increment.rows))
            p.outbox.add(p.events.take_own())  # with what it tells of
            self._see(own, increment.number)
        p.outbox.put(Learnt(own, p.signals.n_learnt, dump, dict(p.signals.seen)).record(name))

    def _see(self, origin: str, number: int) -> None:
        """The policy knows an increment; who told nothing for longest need not be remembered."""
        seen = self._p.signals.seen
        seen.pop(origin, None)
        seen[origin] = number
        if len(seen) > _ORIGINS:
            del seen[next(iter(seen))]
