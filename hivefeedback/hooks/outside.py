"""Executors with a side outside the configuration: what they keep, tend and talk to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from hivefeedback.hooks.protocols import State
from hivefeedback.model import Adapter, Configuration, Ledger, Receipt

__all__ = ["AdapterServer", "KeepsState", "LoadedAdapter", "Tends"]


@runtime_checkable
class KeepsState(Protocol):
    """An executor (or what it works with) that keeps something in the store beside the journal."""

    def open(self, state: State, clock: Callable[[], float]) -> None:
        """Take the store's small records and the loop's clock (seconds since 1970 UTC). Called when a
        loop is made, before anything else is asked, and again where another store stands in."""


@runtime_checkable
class Tends(Protocol):
    """An executor with a side outside the configuration that follows what is served."""

    def tend(self, config: Configuration, ledger: Ledger) -> Sequence[Receipt]:
        """Bring the outside in line: let go of what was taken back, restore what is missing.

        Called by the leader at the end of each turn's executions, so that it also sees what other
        processes took back, and what a crash left behind.

        Returns:
            A receipt for each thing that was done; empty where all was well.
        """


class LoadedAdapter(Struct, frozen=True):
    """An adapter as its server holds it.

    Args:
        adapter: Its name.
        keys: Ids of the mutations that asked for it.
        vram_gb: Memory that it takes, in GB, or None where nobody said.
        used_s: When it was last applied or in service, seconds since 1970 UTC.
    """

    adapter: str
    keys: tuple[str, ...] = ()
    vram_gb: float | None = None
    used_s: float = 0.0


class AdapterServer(Protocol):
    """Loads LoRA adapters beside a running model. The mutation's id is the idempotency key."""

    name: str
    is_noop: bool
    """True where it only records; whoever shows what it did must say so."""

    def apply(self, adapter: Adapter, *, key: str, in_use: Collection[str]) -> str:
        """Load an adapter; again under the same key: nothing. Where room is short, adapters that are
        not in use go, the least recently used first. Answers a sentence about what was done.

        Raises:
            InvalidInputError: It does not fit beside those in use.
        """

    def verify(self, *, key: str) -> bool:
        """True where what this key asked for is loaded."""

    def undo(self, *, key: str) -> str:
        """Let go of what this key asked for; an adapter that no other key holds is unloaded. Again:
        nothing. Answers a sentence."""

    def list(self) -> Sequence[LoadedAdapter]:
        """What is loaded."""

    def touch(self, in_use: Collection[str]) -> None:
        """These adapters are in service now."""
