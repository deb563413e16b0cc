"""What every store must keep to, as tests that any store's author can run.

::

    from hivefeedback.testing import StoreContract

    class TestMyStore(StoreContract):
        def make_store(self, folder):
            return MyStore(f"mine://{folder}/store")

pytest then runs the whole contract against it (it needs ``pytest`` and ``hypothesis``). A contract
test cannot be overridden: a class that tries is refused when it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hivefeedback.hooks import Store
from hivefeedback.testing._contract_aggregates import AggregatesContract
from hivefeedback.testing._contract_base import ContractTime
from hivefeedback.testing._contract_carry import CarryContract
from hivefeedback.testing._contract_commit import CommitContract
from hivefeedback.testing._contract_config import ConfigContract
from hivefeedback.testing._contract_erase import EraseContract
from hivefeedback.testing._contract_follow import FollowContract
from hivefeedback.testing._contract_journal import JournalContract
from hivefeedback.testing._contract_log import LogContract
from hivefeedback.testing._contract_machines import MachinesContract
from hivefeedback.testing._contract_state import StateContract

__all__ = ["StoreContract"]


class StoreContract(
    LogContract,
    CommitContract,
    AggregatesContract,
    FollowContract,
    EraseContract,
    JournalContract,
    ConfigContract,
    StateContract,
    CarryContract,
    MachinesContract,
):
    """Inherit, implement ``make_store``, name the class ``Test...``."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        taken = sorted(name for name in vars(cls) if name.startswith("test_") and hasattr(StoreContract, name))
        if taken:
            raise TypeError(f"{cls.__name__} overrides tests of the store contract: {', '.join(taken)}; rename them")

    def make_store(self, folder: Path) -> Store:
        """Open the store that lies in this folder; a second call opens the same data."""
        raise NotImplementedError("a store contract needs make_store(folder)")

    def make_timed_store(
        self, folder: Path, *, clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> Store | None:
        """The same with given clocks, for expiry and for the lease; None: those tests are skipped.

        Args:
            folder: Where the store lies.
            clock: Seconds since 1970 UTC, judges the expiry of records.
            monotonic: Seconds that never go back, judges the lease.
        """
        return None

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """An empty folder."""
        return tmp_path

    @pytest.fixture
    def store(self, folder: Path) -> Iterator[Store]:
        """A new, empty store."""
        store = self.make_store(folder)
        yield store
        store.close()

    @pytest.fixture
    def time(self) -> ContractTime:
        """The two clocks of ``timed_store``."""
        return ContractTime()

    @pytest.fixture
    def timed_store(self, folder: Path, time: ContractTime) -> Iterator[Store]:
        """A new store under the clocks of ``time``."""
        store = self.make_timed_store(folder, clock=time.clock, monotonic=time.monotonic)
        if store is None:
            pytest.skip("this store takes no clocks: implement make_timed_store to test its lease and expiry")
        yield store
        store.close()
