"""Everything that one process does with the configuration, behind one object."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from hivefeedback.control import adapters, approval, declare, erase, memories, propose, undo
from hivefeedback.control.context import Context
from hivefeedback.control.executors import Executors
from hivefeedback.control.keeper import JournalKeeper
from hivefeedback.control.lease import Leadership
from hivefeedback.control.options import ControlOptions
from hivefeedback.control.stages import Stages
from hivefeedback.control.steady import Steady
from hivefeedback.control.turn import Turn, run_turn
from hivefeedback.control.views import Views
from hivefeedback.control.why import Why, why
from hivefeedback.hooks import Archive, Selector, Store
from hivefeedback.model import Adapter, Configuration, Deployment, Ledger, Mutation, Route
from hivefeedback.stats import View

__all__ = ["Control"]

KEEP_S = 86400.0
"""Questions are about the last day where nothing else is said; the turn may look farther back."""
_AHEAD_S = 60.0
"""Runs of hosts whose clocks are a little ahead count as well."""


class Control:
    """The journal, the turn, and what a person may do. Safe to call from any thread.

    Every method but ``configuration``, ``ledger`` and ``bodies`` writes or reads the store, and
    raises its ``StoreError`` where that fails.

    Args:
        store: Where the journal lies.
        registry: The stages of the turn.
        options: Windows, steps and limits.
        clock: Seconds since 1970 UTC.
        holder: Unique name of this process, under which it leads.
        archive: Where events go that leave the log.
    """

    def __init__(
        self,
        store: Store,
        registry: Stages,
        options: ControlOptions,
        clock: Callable[[], float],
        holder: str,
        archive: Archive | None = None,
    ) -> None:
        self.keeper = JournalKeeper(store)
        self._ctx = Context(
            store=store,
            keeper=self.keeper,
            stages=registry,
            executors=Executors(registry),
            options=options,
            clock=clock,
            views=Views(store.aggregates, keep_s=max(options.turn_window_s, KEEP_S), clock=clock),
            archive=archive,
            steady=Steady(clock) if clock is time.time else None,
        )
        self._ctx.executors.open(store.state, clock)
        self._leadership = Leadership(store, holder, length_s=options.lease_s)
        self._turn_lock = threading.Lock()
        self._n_turns = 0
        self._turned_version = 0
        self._retry_at_s = float("-inf")

    @property
    def configuration(self) -> Configuration:
        """What is served, as of the last refresh."""
        return self.keeper.configuration

    @property
    def ledger(self) -> Ledger:
        """The life of every mutation, as of the last refresh."""
        return self.keeper.ledger

    def bodies(self) -> Mapping[str, str]:
        """Texts by hash of the prompts in use, those of open rollouts included."""
        return self.keeper.bodies()

    def view(self, window_s: float) -> View:
        """Aggregates of the last ``window_s`` seconds."""
        now_s = self._ctx.clock()
        return self._ctx.views.read(from_s=now_s - window_s, to_s=now_s + _AHEAD_S)

    def refresh(self) -> bool:
        """Take in what other processes appended; True if there was anything."""
        return self.keeper.refresh()

    # --- what the host declares and edits -------------------------------------------------------

    def declare(self, deployments: Iterable[Deployment] = (), prompts: Mapping[str, str] | None = None) -> None:
        """Journal the declared deployments and prompts, each once per content."""
        declare.declare(self._ctx, deployments, prompts or {})

    def add_deployment(self, deployment: Deployment, *, by: str = "program") -> None:
        """Put a deployment into service, or replace what its id stands for."""
        declare.add_deployment(self._ctx, deployment, by=by)

    def remove_deployment(self, deployment_id: str, *, by: str = "program") -> None:
        """Take a deployment out of service."""
        declare.remove_deployment(self._ctx, deployment_id, by=by)

    def declare_adapters(self, wanted: Iterable[Adapter]) -> None:
        """Journal the declared adapters, each once per content."""
        adapters.declare_adapters(self._ctx, wanted)

    def add_adapter(self, adapter: Adapter, *, by: str = "program") -> None:
        """Register an adapter, or replace what its name stands for."""
        adapters.add_adapter(self._ctx, adapter, by=by)

    def remove_adapter(self, name: str, *, by: str = "program") -> None:
        """Forget an adapter."""
        adapters.remove_adapter(self._ctx, name, by=by)

    def adopt(self, deployment_id: str, *, by: str = "program") -> None:
        """Put an observed deployment into service."""
        declare.adopt(self._ctx, deployment_id, by=by)

    def set_route(self, prefix: str, route: Route | None, *, by: str = "program") -> None:
        """Say who serves an operation prefix; None gives it back."""
        declare.set_route(self._ctx, prefix, route, by=by)

    def add_prompt(self, name: str, text: str, *, by: str = "program") -> int:
        """Store a version of a prompt and serve it, unless it is a version already; its number."""
        return declare.add_prompt(self._ctx, name, text, by=by)

    @property
    def n_erasures(self) -> int:
        """How often something was erased, as far as this process knows; grows."""
        return self.keeper.n_erasures

    def note_erased(self, *, by: str = "program") -> None:
        """Tell every process that something was erased."""
        erase.note_erased(self._ctx, by=by)

    def erase_events(self, selector: Selector) -> int:
        """Remove events from the log and from the archive; how many went."""
        return erase.erase_events(self._ctx, selector)

    def erase_texts(self, mutation_id: str, *, by: str = "program") -> int:
        """Forget the reasons that were given with a mutation; how many texts went."""
        return erase.erase_texts(self._ctx, mutation_id, by=by)

    def erase_memory(self, agent: str) -> int:
        """Forget everything that an agent remembers, with the texts; how many items went."""
        return memories.erase_agent(self._ctx, agent)

    def sources(self) -> frozenset[str]:
        """Feedback events that memory items and noted corrections rest on; asked before an erasure."""
        return memories.source_ids(self._ctx)

    def forget_erased(self, before: Iterable[str]) -> int:
        """Forget what rested on feedback that was erased since; how many memory items went."""
        return memories.forget_erased(self._ctx, before)

    # --- mutations --------------------------------------------------------------------------------

    def propose(self, mutation: Mutation, *, by: str = "program", why: str = "") -> str:
        """Store a change and put it before the gates; its id. Raises RefusedError where one says no."""
        return propose.propose(self._ctx, mutation, by=by, why=why)

    def approve(self, mutation_id: str, *, by: str, why: str = "") -> None:
        """Let a mutation pass that waits for a person, or promote a paused rollout."""
        approval.approve(self._ctx, mutation_id, by=by, why=why)

    def reject(self, mutation_id: str, *, by: str, why: str = "") -> None:
        """Stop a mutation that nobody is served yet."""
        approval.reject(self._ctx, mutation_id, by=by, why=why)

    def rollback(
        self, mutation_id: str, *, by: str = "program", why: str = "", numbers: Mapping[str, float] | None = None
    ) -> None:
        """End a canary or take a promoted change back; ``numbers`` are what it rests on."""
        undo.roll_back(self._ctx, mutation_id, by=by, why=why, numbers=numbers)

    def rollback_all(self, *, by: str = "program", why: str = "") -> tuple[str, ...]:
        """End every rollout and take back every promoted change; the ids of what was taken back."""
        return undo.roll_back_all(self._ctx, by=by, why=why)

    def why(self, mutation_id: str) -> Why:
        """The story of a mutation."""
        return why(self._ctx, mutation_id)

    # --- the turn -----------------------------------------------------------------------------------

    def turn(self) -> Turn:
        """Run one turn, if this process leads or can lead."""
        with self._turn_lock:
            self._n_turns += 1
            version = self.configuration.version
            turn = run_turn(self._ctx, self._leadership, self._n_turns)
            if turn.leader:
                self._turned_version = version
            else:
                self._retry_at_s = self._ctx.clock() + self._ctx.options.lease_s
            return turn

    def lead(self) -> bool:
        """Renew the lease between two turns, or take it where nobody holds it any more; True where this
        process leads only since now. Who may not act does not keep others from it, and a turn that runs
        renews by itself.

        Raises:
            StoreError: The store could not be asked.
        """
        if self._ctx.options.mode != "act" or not self._turn_lock.acquire(blocking=False):
            return False
        try:
            was_held = self._leadership.is_held
            return self._leadership.take() > 0 and not was_held
        finally:
            self._turn_lock.release()

    def has_work(self) -> bool:
        """True where a change waits for its execution, or a paused rollout for its promotion, that the
        last turn of this process has not seen; then a turn should be run at once. Reads no store.

        Where another process leads, its turn is left to do it for as long as its lease may last.
        """
        if self._ctx.options.mode != "act" or self.configuration.version <= self._turned_version:
            return False
        if self._ctx.clock() < self._retry_at_s:
            return False
        return any(
            life.state in ("validated", "approved") and life.entries[-1].seq > self._turned_version
            for life in self.ledger.open()
        )

    def close(self) -> None:
        """Give the lease back, so that another process can lead at once."""
        self._leadership.release()
