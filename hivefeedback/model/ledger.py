"""The life of each mutation: the other fold of the journal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from hivefeedback.model.change import Mutation, Patch
from hivefeedback.model.journal import EntryState, JournalEntry
from hivefeedback.model.rollout import Rollout

__all__ = ["APPLIED", "FINAL", "Ledger", "Life"]

FINAL = frozenset({"rejected", "promoted", "rolled_back", "failed"})
"""States after which a mutation only moves by being rolled back."""
APPLIED = frozenset({"applying", "canary", "promoted"})
"""States that count as applied for the rate limit, the first of a life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """Everything that the journal says of one mutation.

    ``undo`` is the patch that takes a promoted change back; ``applied_at_s`` is when it first
    reached anyone.
    """

    mutation: Mutation
    state: EntryState
    entries: tuple[JournalEntry, ...] = ()
    applied_at_s: float | None = None
    plan_hash: str = ""
    undo: Patch = ()

    @property
    def is_open(self) -> bool:
        """True until it is rejected, promoted, rolled back or failed."""
        return self.state not in FINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """All mutations by id, in the order in which they were proposed."""

    lives: dict[str, Life] = field(default_factory=dict)

    def applied_since(self, at_s: float) -> list[Life]:
        """Mutations that first reached anyone at or after ``at_s``."""
        return [x for x in self.lives.values() if x.applied_at_s is not None and x.applied_at_s >= at_s]

    def open(self) -> list[Life]:
        """Mutations whose life is not over."""
        return [x for x in self.lives.values() if x.is_open]

    def ended_rollouts(self) -> Iterator[tuple[Rollout, bool]]:
        """Rollouts of mutations whose life is over, each as it stood last, and whether what it served is
        in force: True after a promotion."""
        for life in self.lives.values():
            if not life.is_open:
                last = next((e.rollout for e in reversed(life.entries) if e.rollout is not None), None)
                if last is not None:
                    yield last, life.state == "promoted"

    def after(self, entries: Iterable[JournalEntry]) -> Ledger:
        """The ledger after more entries."""
        lives = dict(self.lives)
        for entry in entries:
            name = entry.mutation_id
            if not name:
                continue
            life = lives.get(name)
            if life is None:
                if entry.mutation is None:
                    continue  # its beginning was erased
                life = Life(mutation=entry.mutation, state=entry.state)
            first = life.applied_at_s is None and entry.state in APPLIED
            lives[name] = replace(
                life,
                state=entry.state if entry.state != "erased" else life.state,
                entries=(*life.entries, entry),
                applied_at_s=entry.at_s if first else life.applied_at_s,
                plan_hash=entry.plan_hash or life.plan_hash,
            )
        return Ledger(lives=lives)
