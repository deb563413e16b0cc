"""``loop.blacklist()``: who is not served after failures in a row, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hivefeedback.queries.basis import Basis

__all__ = ["Blacklisted", "blacklist"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blacklisted:
    """One open breaker.

    Args:
        deployment: The deployment, or the variant of a canary (``a@m-7``).
        failures: Counted failures in a row.
        until_s: When its time is over, seconds since 1970 UTC.
        left_s: Seconds until then; 0 where it is over.
        state: ``open``: it gets no calls. ``half_open``: the next call may try, and decides.
    """

    deployment: str
    failures: int
    until_s: float
    left_s: float
    state: Literal["open", "half_open"]


def blacklist(basis: Basis) -> tuple[Blacklisted, ...]:
    """Everything that is shut, by name."""
    return tuple(
        Blacklisted(
            deployment=name,
            failures=shut.failures,
            until_s=shut.until_s,
            left_s=max(0.0, shut.until_s - basis.now_s),
            state="open" if shut.until_s > basis.now_s else "half_open",
        )
        for name, shut in sorted(basis.shut.items())
    )
