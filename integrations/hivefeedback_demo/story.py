"""The three phases: learning from nothing, a model that gets worse, a prompt that does harm."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from hivefeedback.errors import RefusedError
from hivefeedback.model import JournalEntry, Mutation, MutationKind
from hivefeedback_demo.book import Book
from hivefeedback_demo.driver import Driver
from hivefeedback_demo.left import calls_until_left
from hivefeedback_demo.plan import Plan
from hivefeedback_demo.play import HARMFUL_WORDS
from hivefeedback_demo.process import ServerProcess

if TYPE_CHECKING:
    from hivefeedback import FeedbackLoop, Turn

__all__ = ["Reached", "Story", "Teller"]

HARMFUL_PROMPT = f"Answer with the number alone, written out {HARMFUL_WORDS} so that everybody can read it."

PINNED = "function-calling/simple"
"""The operation whose route somebody fixed: the largest category of the benchmark, where all models do well."""


class Teller(Protocol):
    """Shows the story while it happens."""

    def say(self, text: str) -> None:
        """One line."""

    def watch(self, title: str, goal: int) -> None:
        """A phase begins; it ends after ``goal`` calls at the latest."""


@dataclass(slots=True)
class Reached:
    """What the story came to; parts that were not reached stay None or empty.

    ``before`` are mutations that a kept store knew already; they are no part of this story.
    """

    worse_model: str = ""
    pinned_operation: str = ""
    left_after: tuple[int, int] | None = None
    promoted_id: str = ""
    promoted_after: int | None = None
    patch_id: str = ""
    patch_state: str = ""
    patch_calls: int | None = None
    phases: dict[int, str] = field(default_factory=dict)
    before: frozenset[str] = frozenset()

    @property
    def is_closed(self) -> bool:
        """True where the loop did what it is for: left, promoted, taken back."""
        return self.left_after is not None and bool(self.promoted_id) and self.patch_state == "rolled_back"


class Story:
    """Plays the phases one after the other and notes what was reached."""

    def __init__(self, loop: FeedbackLoop, driver: Driver, server: ServerProcess, plan: Plan, teller: Teller) -> None:
        self._loop, self._driver, self._server, self._plan, self._teller = loop, driver, server, plan, teller
        self._told: set[tuple[str, int]] = set()
        self.reached = Reached(before=frozenset(loop.ledger.lives))

    @property
    def _book(self) -> Book:
        return self._driver.book

    async def learn(self) -> None:
        """Phase 1: nothing is known; each answer teaches."""
        self._begin(1, "learning from nothing", self._plan.learn)
        await self._driver.run(lambda n: n >= self._plan.learn)

    async def degrade(self) -> None:
        """Phase 2: the most used model gets worse, and nobody says so."""
        self._begin(2, "the most used model silently gets worse", self._plan.cap)
        free = [c for c in self._book.calls if c.question.operation != PINNED]
        worse = self.reached.worse_model = self._book.most_used(free[len(free) // 2 :])
        pinned = self.reached.pinned_operation = PINNED
        self._pin(pinned, worse)
        self._teller.say(f"{pinned} is pinned to {worse}; {worse} now keeps {self._plan.left:.0%} of its success")
        self._server.degrade(worse, self._plan.left)
        self._driver.factors = {worse: self._plan.left}
        start, well = len(self._book.calls), [0]

        def is_done(n: int) -> bool:
            self._look_at_degraded(start)
            if self.reached.left_after is not None and self.reached.promoted_id and not well[0]:
                well[0] = n + self._plan.after
            return n >= (well[0] or self._plan.cap)

        await self._driver.run(is_done)

    async def harm(self) -> None:
        """Phase 3: somebody proposes a prompt that breaks what the application expects."""
        self._begin(3, "a harmful prompt patch is proposed by hand", self._plan.cap)
        mutation = Mutation(
            kind=MutationKind.PROMPT_PATCH, target="answer", to=HARMFUL_PROMPT, reason="reads more friendly"
        )
        try:
            patch = self.reached.patch_id = self._loop.propose(
                mutation, by="demo", why="a person thought it would help"
            )
        except RefusedError as error:
            self._teller.say(f"the prompt patch was refused: {error}")
            return
        self._teller.say(f"{patch} proposed: {HARMFUL_PROMPT!r}")
        well = [0]

        def is_done(n: int) -> bool:
            life = self._loop.ledger.lives.get(patch)
            self.reached.patch_state = life.state if life else ""
            if self.reached.patch_state in ("rolled_back", "rejected", "promoted", "failed") and not well[0]:
                self.reached.patch_calls = n
                well[0] = n + self._plan.after
            return n >= (well[0] or self._plan.cap)

        await self._driver.run(is_done)

    def on_turn(self, turn: Turn) -> None:
        """Tell what a turn did, each step of a mutation once."""
        findings = {f.finding_id: f for f in turn.findings}
        for mutation_id, life in self._loop.ledger.lives.items():
            for entry in life.entries:
                if mutation_id in self.reached.before or (mutation_id, entry.seq) in self._told:
                    continue
                self._told.add((mutation_id, entry.seq))
                m = life.mutation
                if entry.state == "proposed" and m.finding_id in findings:
                    self._teller.say(f"finding: {findings[m.finding_id].message}")
                self._teller.say(f"{mutation_id} {m.kind} of {m.target}: {_step(entry)}")

    def _look_at_degraded(self, start: int) -> None:
        r, calls = self.reached, self._book.calls[start:]
        if r.left_after is None:
            free = [c for c in calls if c.question.operation != r.pinned_operation]
            r.left_after = calls_until_left(free, r.worse_model)
            if r.left_after is not None:
                total, own = r.left_after
                self._teller.say(f"the policy left {r.worse_model} after {own} of its calls ({total} calls in all)")
        if not r.promoted_id:
            targets = {r.pinned_operation, r.worse_model}
            for mutation_id, life in self._loop.ledger.lives.items():
                if mutation_id in r.before:
                    continue
                if life.state == "promoted" and life.mutation.target in targets:
                    r.promoted_id, r.promoted_after = mutation_id, len(calls)

    def _begin(self, number: int, title: str, goal: int) -> None:
        self._driver.phase = number
        self.reached.phases[number] = title
        self._teller.watch(f"phase {number}: {title}", goal)

    def _pin(self, operation: str, model: str) -> None:
        """What an operator did long ago: a route that leaves the policy no choice."""
        self._loop.set_route(operation, [model], by="operator")


def _step(entry: JournalEntry) -> str:
    """One step of a mutation in words."""
    n = entry.numbers
    if entry.state == "canary" and entry.rollout is not None:
        return f"canary at {entry.rollout.share:.0%} of the traffic"
    if entry.state == "validated":
        return "validated by " + ", ".join(sorted({v.gate for v in entry.verdicts}))
    if entry.state in ("promoted", "rolled_back") and "canary_units" in n:
        arms = f"{n['canary_quality']:.0f} of {n['canary_units']:.0f} wrong in the canary, "
        arms += f"{n['control_quality']:.0f} of {n['control_units']:.0f} in the control"
        return f"{entry.state.replace('_', ' ')} ({arms})"
    return entry.state.replace("_", " ")
