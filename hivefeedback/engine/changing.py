"""What is served, as a user of the loop sees and changes it: the half of the face that is about the configuration.

Each change is an entry of the journal and is served when the method returns; in mode ``off`` only what
this process serves changes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from hivefeedback.control import Why
from hivefeedback.engine.adapters import adapter_of
from hivefeedback.engine.deployments import deployment_of
from hivefeedback.engine.face import Face
from hivefeedback.engine.memory import AgentMemory
from hivefeedback.engine.passive import Passive
from hivefeedback.errors import InvalidInputError
from hivefeedback.model import Adapter, Configuration, Deployment, Ledger, Mutation, Route

__all__ = ["Changing"]

log = logging.getLogger(__name__)
T = TypeVar("T")


class Changing(Face):
    """Declares, edits, proposes and takes back.

    What changes something, and ``why``, raises ClosedError after ``close``, and StoreError where the store
    could not be read or written.
    """

    _passive: Passive

    def add_deployment(self, deployment: Deployment | str, *, by: str = "program") -> None:
        """Put a deployment into service, or replace what its id stands for; journalled."""
        made = deployment_of(deployment)
        self._change(lambda: self._control.add_deployment(made, by=by), lambda: self._passive.put_deployment(made))

    def remove_deployment(self, deployment_id: str, *, by: str = "program") -> None:
        """Take a deployment out of service; journalled."""
        self._change(
            lambda: self._control.remove_deployment(deployment_id, by=by),
            lambda: self._passive.drop_deployment(deployment_id),
        )

    def add_adapter(self, adapter: Adapter | str, *, by: str = "program") -> None:
        """Register a LoRA adapter, or replace what its name stands for; journalled. Nobody is served it
        by that: a LORA_APPLY mutation puts it on a deployment.

        Raises:
            ConfigurationError: A part of it cannot be used.
        """
        made = adapter_of(adapter)
        self._change(lambda: self._control.add_adapter(made, by=by), lambda: self._ignored("add_adapter", None))

    def remove_adapter(self, name: str, *, by: str = "program") -> None:
        """Forget an adapter; journalled. A deployment that has it keeps it until it is changed.

        Raises:
            UnknownNameError: No adapter of that name.
        """
        self._change(lambda: self._control.remove_adapter(name, by=by), lambda: self._ignored("remove_adapter", None))

    def adopt(self, deployment_id: str, *, by: str = "program") -> None:
        """Put an observed deployment into service."""
        self._change(
            lambda: self._control.adopt(deployment_id, by=by),
            lambda: self._passive.put_deployment(Deployment(deployment_id)),
        )

    def set_route(
        self,
        prefix: str,
        candidates: Sequence[str] | None,
        weights: Mapping[str, float] | None = None,
        *,
        by: str = "program",
    ) -> None:
        """Say at once who serves an operation prefix; journalled. To try it on a share of the traffic
        first, propose a ROUTE_CHANGE.

        Args:
            prefix: Operation prefix, such as ``text-to-text/medical``; empty: every operation.
            candidates: Deployment ids; None gives the prefix back to what its parent says.
            weights: Fixed weight of each candidate; None: the policy decides among them.
            by: Who says so.

        Raises:
            UnknownNameError: A candidate is not in service.
            InvalidInputError: The prefix begins or ends with a slash or a blank, the candidates are one text,
                or a weight cannot be used.
        """
        if not isinstance(prefix, str) or prefix != prefix.strip("/ "):
            raise InvalidInputError(f"operation prefix {prefix!r:.100} must be a text without '/' or blank at its ends")
        if isinstance(candidates, str | bytes):
            raise InvalidInputError(f"candidates are {candidates!r:.100}; expected a list of deployment ids")
        fixed = dict(weights) if weights is not None else None
        route = Route(candidates=tuple(candidates), weights=fixed) if candidates is not None else None
        self._change(
            lambda: self._control.set_route(prefix, route, by=by), lambda: self._passive.set_route(prefix, route)
        )

    def propose(self, mutation: Mutation, *, by: str = "program", why: str = "") -> str:
        """Propose a change; it passes the gates and, in mode ``act``, is executed by the next turn.

        Raises:
            RefusedError: A gate said no; the message names it and its reason.
            InvalidInputError: Target or value are not ones that the kind can have.
        """
        return self._change(
            lambda: self._control.propose(mutation, by=by, why=why), lambda: self._ignored("propose", "")
        )

    def approve(self, mutation_id: str, by: str, why: str = "") -> None:
        """Approve a mutation that waits for a person."""
        self._change(lambda: self._control.approve(mutation_id, by=by, why=why), lambda: self._ignored("approve", None))

    def reject(self, mutation_id: str, by: str, why: str = "") -> None:
        """Reject a mutation that nobody is served yet."""
        self._change(lambda: self._control.reject(mutation_id, by=by, why=why), lambda: self._ignored("reject", None))

    def rollback(self, mutation_id: str, why: str = "", *, by: str = "program") -> None:
        """End a canary, or take a promoted change back."""
        self._change(
            lambda: self._control.rollback(mutation_id, by=by, why=why), lambda: self._ignored("rollback", None)
        )

    def rollback_all(self, why: str = "", *, by: str = "program") -> tuple[str, ...]:
        """End every rollout and take back every promoted change."""
        none: tuple[str, ...] = ()
        return self._change(
            lambda: self._control.rollback_all(by=by, why=why), lambda: self._ignored("rollback_all", none)
        )

    def why(self, mutation_id: str) -> Why:
        """The story of a mutation, from the journal."""
        self._check_open()
        self._control.refresh()
        return self._control.why(mutation_id)

    def memory(self, agent_id: str) -> AgentMemory:
        """What an agent remembers, across sessions and restarts: ``.items()`` and ``.recall(query, k=5)``.

        It is changed by MEMORY_UPDATE mutations: propose one, or approve what the loop proposes after
        the same correction was given three times.

        Raises:
            InvalidInputError: The agent has no id.
        """
        self._check_open()
        return AgentMemory(agent_id, self.store, self._clock, self._memories)

    @property
    def configuration(self) -> Configuration:
        """What is served, as this process knows it."""
        return self._control.configuration if self._engine else self._passive.snapshot.config

    @property
    def ledger(self) -> Ledger:
        """The life of every mutation, as this process knows it."""
        return self._control.ledger

    def refresh(self) -> None:
        """Look for changes of other processes now; threads do this by themselves."""
        if self._engine is not None and self._control.refresh():
            self._engine.follow()

    def _add_prompt(self, name: str, text: str) -> int:
        return self._change(lambda: self._control.add_prompt(name, text), lambda: self._passive.put_prompt(name, text))

    def _body(self, content_hash: str) -> str | None:
        return (
            self.store.journal.body(content_hash) if self._engine else self._passive.snapshot.bodies.get(content_hash)
        )

    def _change(self, change: Callable[[], T], passively: Callable[[], T]) -> T:
        """Do something to the journal and serve it at once; in mode ``off`` only what is served here changes."""
        self._check_open()
        if self._engine is None:
            return passively()
        try:
            answer = change()
        except BaseException:
            self._engine.follow(is_known=False)
            raise
        self._engine.follow()
        return answer

    def _ignored(self, what: str, answer: T) -> T:
        log.warning("mode is off: %s does nothing", what)
        return answer
