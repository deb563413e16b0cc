"""What the parts of the store contract share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from hivefeedback.hooks import Store
from hivefeedback.testing.clock import FakeClock

__all__ = ["ContractTime", "Makes", "in_threads"]


class Makes(Protocol):
    """The part of ``StoreContract`` that its tests call."""

    def make_store(self, folder: Path) -> Store:
        """See ``StoreContract``."""

    def make_timed_store(
        self, folder: Path, *, clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> Store | None:
        """See ``StoreContract``."""


class ContractTime:
    """A wall clock and a monotonic one that move only when told."""

    def __init__(self) -> None:
        self.clock, self.monotonic = FakeClock(), FakeClock(5.0)


def in_threads(jobs: Sequence[Callable[[], None]], *, timeout_s: float = 60.0) -> None:
    """Run jobs at the same time; raises the first error of any of them."""
    errors: list[BaseException] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - a thread's error belongs to the test
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout_s)
    if errors:
        raise errors[0]
    assert not any(t.is_alive() for t in threads), f"a thread still runs after {timeout_s} s"
