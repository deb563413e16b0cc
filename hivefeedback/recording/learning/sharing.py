"""Takes in what other processes learnt, and tells them what this one did."""

from __future__ import annotations

from collections.abc import Sequence

from hivefeedback.model import LearningShared, LearntElsewhere
from hivefeedback.recording.feedback.judge import Judge
from hivefeedback.recording.learning.learnt import Learnt
from hivefeedback.recording.learning.shared import Told
from hivefeedback.recording.parts import Parts

__all__ = ["Sharing"]


class Sharing:
    """Between the policy here and those of the other processes."""

    def __init__(self, parts: Parts, judge: Judge) -> None:
        self._p, self._judge = parts, judge

    def take(self, told: Sequence[Told], gone: Sequence[str], *, is_logged: bool) -> None:
        """Hand the policy what others learnt.

        Args:
            told: Their increments.
            gone: Processes whose last increment is not there any more.
            is_logged: Whether this process records, and says in the log what it took in.
        """
        for origin in gone:
            self._p.signals.seen.pop(origin, None)
        taken: dict[str, tuple[int, int]] = {}
        for origin, number, rows in told:
            self._p.signals.seen[origin] = number
            self._judge.learn_shared(rows)
            taken[origin] = taken.get(origin, (number, number))[0], number
        if taken and is_logged:
            origin, (_, number) = next(iter(taken.items()))
            self._p.events.tell(LearntElsewhere(origin, number, taken))

    def tell(self, dump: bytes) -> None:
        """What the policy knows, and which increments of whom are in it; in one commit with the own one."""
        p, own, name = self._p, self._p.owners.own, self._p.policy.name
        increment = p.evidence.take() if p.evidence is not None else None
        if increment is not None:
            p.outbox.put(increment.record(name, own, p.owners.now()))
            p.events.tell(LearningShared(increment.number, increment.rows))
            p.outbox.add(p.events.take_own())  # with what it tells of
            p.signals.seen[own] = increment.number
        p.outbox.put(Learnt(own, p.signals.n_learnt, dump, dict(p.signals.seen)).record(name))
