"""Slow judgements: made by one thread beside the recorder, and said when they are there.

In a loop that was given a clock, and without a loop, they are made at once on the caller's thread.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence

from hivefeedback.hooks import Voice
from hivefeedback.model import Feedback, Score

__all__ = ["Later"]

Job = Callable[[], Score | None]
_LINGER_S = 1.0
"""How long the thread waits for more work before it ends; making one costs as much as a quick judgement."""


class Later:
    """A bounded queue and a thread that lives while there is work.

    Args:
        name: Of the scorer; counts begin with it.
        max_waiting: What comes when so many wait is left out and counted as ``NAME_skipped_full``.
    """

    def __init__(self, name: str, *, max_waiting: int) -> None:
        self._name, self._max_waiting = name, max_waiting
        self.voice: Voice | None = None
        self._renew()

    def _renew(self) -> None:
        """Also in a forked child, where the thread is gone and its lock may be held for ever."""
        self._pid, self._change = os.getpid(), threading.Condition()
        self._jobs: deque[Job] = deque()
        self._is_working = False

    def note(self, what: str, detail: str = "") -> None:
        """Count something under the scorer's name."""
        if self.voice is not None:
            self.voice.note(f"{self._name}_{what}", detail)

    def ask(self, job: Job) -> Sequence[Score]:
        """Have a judgement made; answers it where it is made at once.

        Raises:
            Exception: What the job raises, where it is made at once; else it is counted as ``NAME_failed``.
        """
        if self.voice is None or self.voice.is_inline:
            score = job()
            return () if score is None else (score,)
        if self._pid != os.getpid():
            self._renew()
        with self._change:
            self._jobs.append(job)
            self._change.notify()
            if not self._is_working:
                self._is_working = True
                threading.Thread(target=self._work, name=f"hivefeedback-{self._name}", daemon=True).start()
        return ()

    def has_room(self) -> bool:
        """Whether one more may wait; counted where not. To be asked before ``ask``, on the same thread."""
        if self._pid == os.getpid() and len(self._jobs) >= self._max_waiting:
            self.note("skipped_full", f"{self._max_waiting} judgements are waiting")
            return False
        return True

    def _next(self) -> Job | None:
        with self._change:
            if not self._jobs:
                self._change.wait(_LINGER_S)
            self._is_working = bool(self._jobs)
            return self._jobs.popleft() if self._jobs else None

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                score = job()
            except Exception as error:  # noqa: BLE001  # background thread: one judgement must not cost the others
                self.note("failed", type(error).__name__)  # its text may hold what was judged
                continue
            if score is not None and self.voice is not None:
                self.voice.say(_feedback_of(score))


def _feedback_of(score: Score) -> Feedback:
    """The same judgement as feedback, under the key that the score would have."""
    key = f"{score.source}:{score.name}"
    return Feedback(score.name, value=score.value, run_id=score.run_id, source=score.source, idempotency_key=key)
