"""What ``decide()`` answers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from hivefeedback.model.deployment import ParamValue
from hivefeedback.model.lineup import variant_without
from hivefeedback.model.offer import Exclusion, Offer
from hivefeedback.model.prompt import render

__all__ = ["Assignment", "Decision", "learner_of", "told_by"]

_MAX_PROMPTS = 4
"""A run that asks for more is told by the first of them; newest runs are many and must stay small."""
_LONGEST = 128


class Assignment(Struct, frozen=True, array_like=True):
    """Which arm of a rollout a decision is in.

    Args:
        rollout_id: The rollout.
        variant: ``control`` or ``canary``.
        share: The canary's share of units at this moment, in (0, 1].
        prompts: Where the rollout changes nothing but prompts: their names. Only a decision that was
            asked for one of them can tell the arms apart.
    """

    rollout_id: str
    variant: str
    share: float
    prompts: tuple[str, ...] = ()


def told_by(assignments: tuple[Assignment, ...], asked: Collection[str] | None) -> tuple[Assignment, ...]:
    """The assignments that what happens next tells something about.

    A rollout of a prompt concerns every operation that might ask for it. Whoever does not ask is
    served the same in both arms, so counting it would only dilute a harm.

    Args:
        assignments: Those of the decision.
        asked: Names of the prompts that it was asked for; None: none.

    >>> of_p = Assignment("m-1", "canary", 0.05, ("p",))
    >>> told_by((of_p,), {"q"}), told_by((of_p,), {"p", "q"}) == (of_p,)
    ((), True)
    """
    if not any(a.prompts for a in assignments):
        return assignments
    return tuple(a for a in assignments if not a.prompts or any(p in (asked or ()) for p in a.prompts))


def learner_of(
    variant: str, deployment: str, assignments: tuple[Assignment, ...], asked: Collection[str] | None
) -> str:
    """Who learns from what was served as a variant: the deployment itself, where the variant differs by
    prompts alone and none of them was asked for.

    >>> learner_of("a@m-1", "a", (Assignment("m-1", "canary", 0.05, ("p",)),), set())
    'a'
    """
    told = told_by(assignments, asked)
    return variant_without(variant, deployment, [a.rollout_id for a in assignments if a not in told])


class Decision(Struct, frozen=True, gc=False):
    """What to serve a request with, and what is needed to learn from it later.

    Hand ``decision_id`` back with the run (``Run(..., decision_id=d.decision_id)``), so that
    canaries and off-policy estimates know what was decided.

    ``offer`` and ``index`` say what was picked from what; the properties read them. ``draw`` is
    None where nothing was drawn: a repeat inside a session (``first_propensity`` is then the
    first draw's), a probe, a mode that only looks. ``shadow`` is the index that ``advise`` would
    have drawn. ``unit`` is what the draw is repeated for: ``session`` where it is sticky.
    ``asked`` gathers the names of the prompts that were asked for, in both arms alike; it is shared by
    copies of the decision while a rollout of prompts is open.
    """

    decision_id: str
    operation: str
    offer: Offer | None
    index: int
    draw: int | None
    reason: str
    decided_at_s: float
    session_id: str | None = None
    is_first_of_unit: bool = True
    assignments: tuple[Assignment, ...] = ()
    first_propensity: float | None = None
    shadow: int | None = None
    unit: str = "request"
    asked: set[str] | None = None

    @property
    def deployment(self) -> str | None:
        """Id of the deployment to use, or None where there was nothing to choose from."""
        return self.offer.lineup.candidates[self.index] if self.offer else None

    @property
    def variant(self) -> str | None:
        """What is served: the deployment, or its canary variant."""
        return self.offer.lineup.variants[self.index] if self.offer else None

    @property
    def learner(self) -> str | None:
        """Id that learns from this decision: the variant, if so far anything of it was asked for."""
        if self.offer is None or self.asked is None:
            return self.variant
        lineup, index = self.offer.lineup, self.index
        return learner_of(lineup.variants[index], lineup.candidates[index], self.assignments, self.asked)

    @property
    def told(self) -> tuple[Assignment, ...]:
        """The assignments that what happens next tells something about; see ``told_by``."""
        return told_by(self.assignments, self.asked) if self.assignments else ()

    @property
    def model(self) -> str | None:
        """What the provider calls the model to use."""
        return self.offer.lineup.deployments[self.index].model if self.offer else None

    @property
    def params(self) -> Mapping[str, ParamValue]:
        """Parameters of the call."""
        return self.offer.lineup.deployments[self.index].params if self.offer else {}

    @property
    def adapter(self) -> str | None:
        """LoRA adapter to use, or None."""
        return self.offer.lineup.deployments[self.index].adapter if self.offer else None

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """Up to three other deployments, the most promising first."""
        if self.offer is None:
            return ()
        candidates, excluded = self.offer.lineup.candidates, {e.deployment for e in self.offer.excluded}
        others = (candidates[i] for i in self.offer.ranking() if i != self.index)
        return tuple(c for c in others if c not in excluded)[:3]

    @property
    def propensity(self) -> float | None:
        """Probability with which this deployment was drawn; None where nothing was drawn.

        Nor is anything drawn where one candidate is left. A repeat inside a session carries the
        first draw's.
        """
        offer = self.offer
        if self.draw is None or offer is None:
            return self.first_propensity
        weight = offer.weights[self.index]
        return weight / offer.total if weight < offer.total else None

    @property
    def config_version(self) -> int:
        """Sequence number of the journal entry whose configuration this was."""
        return self.offer.lineup.config_version if self.offer else 0

    @property
    def excluded(self) -> tuple[Exclusion, ...]:
        """Candidates that could not be drawn, and why."""
        return self.offer.excluded if self.offer else ()

    def of_session(self, session_id: str) -> Decision:
        """The same decision, known to belong to a session."""
        return replace(self, session_id=session_id)

    def falling_back(self, deployment: str) -> Decision:
        """The same decision turned to another candidate: nothing was drawn, so it has no propensity."""
        index = self.offer.lineup.candidates.index(deployment) if self.offer else self.index
        return replace(self, index=index, draw=None, first_propensity=None, reason="fallback")

    def ask(self, names: Iterable[str]) -> None:
        """Note that prompts were asked for; shared by copies where a rollout of prompts is open, else of this one."""
        if self.asked is None:
            force_setattr(self, "asked", set(names))
        else:
            self.asked.update(names)

    @property
    def prompts_used(self) -> tuple[str, ...]:
        """What was asked for as ``name@version``, for the newest runs: at most 4, none with a very long name."""
        if not self.asked or self.offer is None:
            return ()
        versions, names = self.offer.lineup.versions, tuple(self.asked)  # a copy: it may grow meanwhile
        if len(names) > 1:
            names = tuple(sorted(names)[:_MAX_PROMPTS])
        return tuple([f"{name}@{versions[name]}" for name in names if name in versions and len(name) <= _LONGEST])

    def prompt(self, name: str, **fields: object) -> str:
        """The named prompt of this decision's arm, with ``{field}`` replaced by the given values.

        Raises:
            UnknownNameError: No prompt of that name, or a field of the prompt was not given.
        """
        prompts = self.offer.lineup.prompts if self.offer else {}
        if name in prompts:
            self.ask((name,))  # first: a prompt that cannot be rendered is a failure of its arm
        return render(name, prompts, fields)
