"""What plugins speak with: feedback and counts of a loop, and nothing else of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hivefeedback.model import Feedback

__all__ = ["LoopVoice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopVoice:
    """A ``Voice`` (see ``hivefeedback.hooks``) of one loop.

    Args:
        say: Takes in feedback as from the application: microseconds, never raises.
        note: Counts one under a name.
        is_inline: The loop has no thread.
    """

    say: Callable[[Feedback], None]
    note: Callable[..., None]
    is_inline: bool
