"""The turn, once or in the background, as a user of the loop runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hivefeedback.control import Turn
from hivefeedback.engine.face import Face
from hivefeedback.engine.quarantine import Quarantine
from hivefeedback.engine.turns import BackgroundTurns
from hivefeedback.errors import ConfigurationError

__all__ = ["Turning"]

_BEATS = 3
"""Signs of life within the length of the lease; one of them may come late."""


class Turning(Face):
    """Runs turns."""

    _quarantine: Quarantine
    _turns: BackgroundTurns | None = None
    _on_turn: Callable[[Turn], object] | None = None
    _turn_every_s: float = 0.0

    def turn(self) -> Turn:
        """Analyze, plan, validate, execute, monitor: once, if this process leads or can lead.

        Raises:
            StoreError: The store could not be read or written.
        """
        engine = self._engine
        if engine is None or self._is_closed:
            return Turn(turn_id="", leader=False, mode="off")
        engine.flush(5.0, asks=False)
        self._quarantine.follow()
        try:
            turn = self._control.turn()
        except BaseException:
            engine.follow(is_known=False)
            raise
        engine.follow()
        return turn

    async def aturn(self) -> Turn:
        """The same without blocking the event loop."""
        return await asyncio.to_thread(self.turn)

    def start(self, every_s: float | None = None, *, on_turn: Callable[[Turn], object] | None = None) -> None:
        """Run the turn in the background, every ``every_s`` seconds (default: the setting, 60).

        Between two turns the leader renews its lease. Where it dies another process that was started leads
        within seconds (``lease_s``), and runs a turn at once. What processes that are gone left in the store
        is taken over by the leader.

        Args:
            every_s: Seconds between two turns.
            on_turn: Told of each turn, on the thread that ran it.

        Raises:
            ConfigurationError: The loop has a given clock, hence no threads.
        """
        if self._is_inline:
            raise ConfigurationError("a loop with a given clock has no threads; call turn() yourself")
        if self._engine is None or self._is_closed or self._turns is not None:
            return
        self._turn_every_s, self._on_turn = every_s or self.settings.turn_every_s, on_turn
        self._begin_turns()

    def tidy(self) -> None:
        """Take over what processes left that are gone, such as feedback that waits for its run, and remove from
        the store what nobody needs of it. What is started does it after each turn that it leads."""
        if self._engine is not None and not self._is_closed:
            self._engine.take_over()

    def _begin_turns(self) -> None:
        self._turns = BackgroundTurns(
            self._turn_in_background,
            self._turn_every_s,
            self.counters,
            lead=self._lead,
            lead_every_s=self.settings.lease_s / _BEATS,
        )

    def _lead(self) -> bool:
        return not self._is_closed and self._control.lead()

    def _turn_in_background(self) -> None:
        turn = self.turn()
        if turn.leader:
            self.tidy()
        if self._on_turn is not None:
            self._on_turn(turn)
