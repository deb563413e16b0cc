"""The lease against what it promises: one holder at a time, larger tokens, no waiting for the dead without end."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import rule

from hivefeedback.hooks import Store
from hivefeedback.testing._contract_base import ContractTime, Makes
from hivefeedback.testing._machine_base import StoreMachine

__all__ = ["LeaseMachine", "takes_clocks"]

LENGTH_S = 10.0
_WHO = st.sampled_from([0, 1, 2])


def takes_clocks(contract: Makes, folder: Path) -> bool:
    """True where the contract makes a store with given clocks; it is made once, in a new folder."""
    folder.mkdir()
    time = ContractTime()
    probe = contract.make_timed_store(folder, clock=time.clock, monotonic=time.monotonic)
    if probe is not None:
        probe.close()
    return probe is not None


class LeaseMachine(StoreMachine):
    """Three processes take, renew, give back and fall silent.

    When exactly a silent holder is replaced is the store's to say: by its own clock, or once the asker has
    itself seen the heartbeat stand still. So the machine knows when it must not be, and when it must.
    """

    def __init__(self) -> None:
        super().__init__()
        self.time, folder = ContractTime(), self.folders.next()
        opened = [
            self.contract.make_timed_store(folder, clock=self.time.clock, monotonic=self.time.monotonic)
            for _ in range(3)
        ]
        self.stores: list[Store] = [store for store in opened if store is not None]
        self.holder: int | None = None
        self.token = 0
        self.beat_s = 0.0

    def _ask(self, who: int) -> bool:
        lease = self.stores[who].config.acquire(f"h{who}", length_s=LENGTH_S)
        now_s = self.time.monotonic()
        if lease is None:
            assert self.holder not in (None, who), "nobody is in the way"
            return False
        if who == self.holder:
            assert lease.token == self.token, "a renewal keeps its token"
        else:
            assert self.holder is None or now_s - self.beat_s >= LENGTH_S, "the holder was still alive"
            assert lease.token > self.token
        self.holder, self.token, self.beat_s = who, lease.token, now_s
        return True

    def _pass(self, seconds: float) -> None:
        self.time.clock.advance(seconds)
        self.time.monotonic.advance(seconds)

    @rule(who=_WHO)
    def ask(self, who: int) -> None:
        self._ask(who)

    @rule(seconds=st.sampled_from([0.1, 4.0, 9.5, 30.0]))
    def wait(self, seconds: float) -> None:
        self._pass(seconds)

    @rule(who=_WHO)
    def give_back(self, who: int) -> None:
        self.stores[who].config.release(f"h{who}")
        if who == self.holder:
            self.holder = None

    @rule(who=_WHO)
    def outlast_a_silent_holder(self, who: int) -> None:
        self._ask(who)
        self._pass(LENGTH_S + 0.1)
        assert self._ask(who), "who asks, waits and asks again leads"

    @rule(jump_s=st.sampled_from([-600.0, 600.0]))
    def set_the_wall_clock(self, jump_s: float) -> None:
        """Clocks of hosts may be minutes off; that is nobody's right to lead."""
        self.time.clock.advance(jump_s)

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
