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
        from hivefeedback.testing._machine_aggregates import aggregates_machine
        from hivefeedback.testing._machine_base import Folders, play_machine

        play_machine(aggregates_machine(self, Folders(folder)))

    def test_the_journal_follows_a_plain_model(self: Makes, folder: Path) -> None:
        pytest.importorskip("hypothesis", reason=_REASON)
        from hivefeedback.testing._machine_base import Folders, play_machine
        from hivefeedback.testing._machine_journal import journal_machine

        play_machine(journal_machine(self, Folders(folder)))

    def test_the_lease_keeps_its_promises(self: Makes, folder: Path) -> None:
        pytest.importorskip("hypothesis", reason=_REASON)
        from hivefeedback.testing._machine_base import Folders, play_machine
        from hivefeedback.testing._machine_lease import lease_machine

        machine = lease_machine(self, Folders(folder))
        if machine is None:
            pytest.skip("this store takes no clocks: implement make_timed_store to test its lease")
        play_machine(machine)
