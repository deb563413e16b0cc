"""The configuration's checkpoint, and the lease of the one leader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hivefeedback.hooks import Store
from hivefeedback.model import Adapter, Configuration, Deployment, Price, PromptVersions, Route
from hivefeedback.testing._contract_base import ContractTime, Makes

__all__ = ["ConfigContract"]

_CONFIG = Configuration(
    version=3,
    deployments={"ä": Deployment("ä", params={"stop": ["x"]}, price=Price(1.0, 2.0), vram_gb=8.0)},
    routes={"": Route(("ä",), {"ä": 0.5})},
    prompts={"p": PromptVersions(bodies=("h1", ""), current=1)},
    declared=frozenset({"c1", "c2"}),
    adapters={"lora/ä": Adapter("lora/ä", tags=("t",), models=("m",), vram_gb=1.5)},
)


class ConfigContract:
    """A checkpoint never goes back; a lease has one holder."""

    def test_there_is_no_checkpoint_at_first(self, store: Store) -> None:
        assert store.config.load() is None

    def test_a_checkpoint_comes_back_whole(self, store: Store) -> None:
        store.config.save(_CONFIG)
        assert store.config.load() == _CONFIG

    def test_an_older_checkpoint_never_replaces_a_newer_one(self, store: Store) -> None:
        for version in (3, 2, 4, 1):
            store.config.save(replace(_CONFIG, version=version))
        config = store.config.load()
        assert config is not None
        assert config.version == 4

    def test_the_lease_is_held_by_one_and_renewed_under_the_same_token(self, store: Store) -> None:
        first = store.config.acquire("one", length_s=10)
        assert first is not None
        assert first.token > 0
        assert store.config.acquire("two", length_s=10) is None
        assert store.config.acquire("one", length_s=10) == first

    def test_a_released_lease_goes_to_the_next_under_a_larger_token(self, store: Store) -> None:
        first = store.config.acquire("one", length_s=10)
        store.config.release("two")
        assert store.config.acquire("two", length_s=10) is None
        store.config.release("one")
        second = store.config.acquire("two", length_s=10)
        assert first is not None
        assert second is not None
        assert second.token > first.token

    def test_a_heartbeat_that_stands_still_for_its_length_loses_the_lease(
        self, timed_store: Store, time: ContractTime
    ) -> None:
        first = timed_store.config.acquire("one", length_s=10)
        assert timed_store.config.acquire("two", length_s=10) is None
        _pass(time, 9.9)
        assert timed_store.config.acquire("two", length_s=10) is None
        _pass(time, 0.2)
        second = timed_store.config.acquire("two", length_s=10)
        assert first is not None
        assert second is not None
        assert second.token > first.token
        assert timed_store.config.acquire("one", length_s=10) is None

    def test_a_heartbeat_that_moves_keeps_the_lease(self, timed_store: Store, time: ContractTime) -> None:
        timed_store.config.acquire("one", length_s=10)
        for _ in range(8):
            assert timed_store.config.acquire("two", length_s=10) is None
            _pass(time, 6)
            assert timed_store.config.acquire("one", length_s=10) is not None

    def test_an_observer_that_just_came_waits_a_whole_length(self: Makes, folder: Path) -> None:
        early, late = ContractTime(), ContractTime()
        one = self.make_timed_store(folder, clock=early.clock, monotonic=early.monotonic)
        two = self.make_timed_store(folder, clock=late.clock, monotonic=late.monotonic)
        if one is None or two is None:
            pytest.skip("this store takes no clocks: implement make_timed_store to test its lease")
        assert one.config.acquire("one", length_s=10) is not None
        late.monotonic.advance(1000)
        assert two.config.acquire("two", length_s=10) is None
        for each in (early, late):
            _pass(each, 10)
        assert two.config.acquire("two", length_s=10) is not None
        one.close()
        two.close()


def _pass(time: ContractTime, seconds: float) -> None:
    time.clock.advance(seconds)
    time.monotonic.advance(seconds)
