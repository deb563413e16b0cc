"""What a rollout is judged by, and the proof that its canary does harm: one meaning for all who say it.

The process that finds a proof writes its numbers into the store, and the turn of another reads them
there and journals them. Both are made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from hivefeedback.model import ArmCounts, Rollout, StepCounts
from hivefeedback.stats.sequential import tripped_guardrail

__all__ = ["HarmProof", "guardrails_of"]

_IS = "is_"
"""Before the name of the guardrail in what is stored."""


def guardrails_of(rollout: Rollout) -> tuple[str, ...]:
    """What a rollout is judged by: errors and quality, and what it has limits for."""
    return ("error", "quality", *sorted(rollout.limits or ()))


class HarmProof(Struct, frozen=True, kw_only=True):
    """The evidence that a canary is worse.

    Args:
        guardrail: What it is worse by.
        log_e: Natural logarithm of the evidence.
        control, canary: (units whose end is known, those of them that failed by the guardrail).
    """

    guardrail: str
    log_e: float
    control: tuple[int, int] = (0, 0)
    canary: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, counts: Sequence[StepCounts], alpha: float, guardrails: Sequence[str]) -> HarmProof | None:
        """The first guardrail by which the counts of all processes prove harm; None while none does."""
        tripped = tripped_guardrail(counts, alpha, guardrails) if counts else None
        if tripped is None:
            return None
        rail, log_e = tripped
        return cls(
            guardrail=rail,
            log_e=log_e,
            control=_settled((c.control for c in counts), rail),
            canary=_settled((c.canary for c in counts), rail),
        )

    def stored(self) -> dict[str, float]:
        """The numbers as processes tell them each other, see ``encode_stop``."""
        return {**self.suspected(), **self._units()}

    def suspected(self) -> dict[str, float]:
        """The same without the units, of which one process knows a part."""
        return {"log_e": self.log_e, f"{_IS}{self.guardrail}": 1.0}

    @classmethod
    def read(cls, numbers: Mapping[str, float]) -> HarmProof:
        """What ``stored`` made; an older version's has fewer numbers.

        >>> proof = HarmProof(guardrail="error", log_e=7.5, control=(90, 1), canary=(10, 6))
        >>> HarmProof.read(proof.stored()) == proof
        True
        """
        rail = next((name.removeprefix(_IS) for name in numbers if name.startswith(_IS)), "harm")
        control, canary = (
            (int(numbers.get(f"{arm}_units", 0.0)), int(numbers.get(f"{arm}_{rail}", 0.0)))
            for arm in ("control", "canary")
        )
        return cls(guardrail=rail, log_e=numbers.get("log_e", 0.0), control=control, canary=canary)

    def numbers(self) -> dict[str, float]:
        """The numbers as the journal has them, by names that other guardrails share."""
        return {f"log_e_harm_{self.guardrail}": self.log_e, **self._units()}

    def _units(self) -> dict[str, float]:
        (n0, k0), (n1, k1), rail = self.control, self.canary, self.guardrail
        return {
            "control_units": float(n0),
            f"control_{rail}": float(k0),
            "canary_units": float(n1),
            f"canary_{rail}": float(k1),
        }

    def __str__(self) -> str:
        (n0, k0), (n1, k1) = self.control, self.canary
        return f"{k1} of {n1} settled units against {k0} of {n0}"


def _settled(arms: Iterable[ArmCounts], guardrail: str) -> tuple[int, int]:
    known = list(arms)
    return sum(a.units for a in known), sum(a.failed(guardrail) for a in known)
