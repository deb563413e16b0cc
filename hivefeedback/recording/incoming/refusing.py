"""An intake that keeps what it refuses as dead letters, with the reason."""

from __future__ import annotations

from typing import Any

from hivefeedback.model import Feedback, Run
from hivefeedback.recording.counters import Counters
from hivefeedback.recording.incoming.intake import Intake
from hivefeedback.recording.incoming.letters import Letters

__all__ = ["RefusingIntake", "why_refused"]


class RefusingIntake(Intake):
    """Checks runs and feedback, and says of what it refuses why.

    Args:
        counters: Where defects are counted.
        letters: Where what is refused is noted.
        more: See ``Intake``.
    """

    def __init__(self, counters: Counters, letters: Letters, **more: Any) -> None:
        super().__init__(counters, **more)
        self._letters = letters

    def run(self, run: Run, now_s: float) -> Run | None:
        """See ``Intake``."""
        clean = super().run(run, now_s)
        if clean is None:
            self._refuse(run, now_s)
        return clean

    def feedback(self, feedback: Feedback) -> Feedback | None:
        """See ``Intake``."""
        clean = super().feedback(feedback)
        if clean is None:
            self._refuse(feedback, 0.0)
        return clean

    def _refuse(self, thing: Run | Feedback, now_s: float) -> None:
        self._letters.refuse(thing, why_refused(thing, now_s) or "it cannot be used")


class _Reasons(Counters):
    """Takes down what would be counted."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def note(self, name: str, detail: str = "", n: int = 1) -> None:
        self.found.append(f"{name.replace('_', ' ')}{': ' if detail else ''}{detail}")


def why_refused(thing: Run | Feedback, now_s: float) -> str | None:
    """Why nothing of a run or feedback can be used; None where it can.

    >>> why_refused(Feedback(rating=6.0), 0.0)
    'bad rating: 6.0 is not between 1 and 5'
    """
    reasons = _Reasons()
    intake = Intake(reasons, user_key=b"", max_comment_bytes=1 << 18)
    clean = intake.run(thing, now_s) if isinstance(thing, Run) else intake.feedback(thing)
    return ("; ".join(reasons.found) or "it says nothing") if clean is None else None
