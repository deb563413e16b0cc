"""Random stories against plain models; they need ``hypothesis``."""

from __future__ import annotations

from pathlib import Path

import pytest

from hivefeedback.testing._contract_base import Makes

__all__ = ["MachinesContract"]

_REASON = "random stories need hypothesis; install it with: pip install hypothesis"


class MachinesContract:
    """Whatever happens in whatever order, a store says what a plain model says."""

    def test_aggregates_follow_a_plain_model(self: Makes, folder: Path) -> None:
        pytest.importorskip("hypothesis", reason=_REASON)
        from hivefeedback.testing._machine_aggregates import AggregatesMachine
        from hivefeedback.testing._machine_base import play_machine

        play_machine(AggregatesMachine, self, folder)

    def test_the_journal_follows_a_plain_model(self: Makes, folder: Path) -> None:
        pytest.importorskip("hypothesis", reason=_REASON)
        from hivefeedback.testing._machine_base import play_machine
        from hivefeedback.testing._machine_journal import JournalMachine

        play_machine(JournalMachine, self, folder)

    def test_the_lease_keeps_its_promises(self: Makes, folder: Path) -> None:
        pytest.importorskip("hypothesis", reason=_REASON)
        from hivefeedback.testing._machine_base import play_machine
        from hivefeedback.testing._machine_lease import LeaseMachine, takes_clocks

        if not takes_clocks(self, folder / "probe"):
            pytest.skip("this store takes no clocks: implement make_timed_store to test its lease")
        play_machine(LeaseMachine, self, folder)
