"""The three stores keep the contract that strangers' stores keep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hivefeedback.hooks import Store
from hivefeedback.testing import StoreContract
from hivefeedback_stores.json import JsonStore
from hivefeedback_stores.memory import MemoryStore
from hivefeedback_stores.plugin import StoresPlugin
from hivefeedback_stores.sqlite import SqliteStore


class TestMemoryStore(StoreContract):
    def make_store(self, folder: Path) -> Store:
        return MemoryStore(f"memory://{folder}")

    def make_timed_store(self, folder: Path, *, clock: Callable[[], float], monotonic: Callable[[], float]) -> Store:
        return MemoryStore(f"memory://{folder}", clock=clock, monotonic=monotonic)


class TestSqliteStore(StoreContract):
    def make_store(self, folder: Path) -> Store:
        return SqliteStore(f"sqlite:///{folder}/hive.db")

    def make_timed_store(self, folder: Path, *, clock: Callable[[], float], monotonic: Callable[[], float]) -> Store:
        return SqliteStore(f"sqlite:///{folder}/hive.db", clock=clock, monotonic=monotonic)


class TestSqliteStoreInBlocks(TestSqliteStore):
    """The same with every event that can lie in a block in one, however few there are."""

    @pytest.fixture(autouse=True)
    def _blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("hivefeedback_stores.sqlite_log.FEWEST", 1)


class TestJsonStore(StoreContract):
    def make_store(self, folder: Path) -> Store:
        return JsonStore(f"json:///{folder}/hive.json")

    def make_timed_store(self, folder: Path, *, clock: Callable[[], float], monotonic: Callable[[], float]) -> Store:
        return JsonStore(f"json:///{folder}/hive.json", clock=clock, monotonic=monotonic)


def test_a_contract_test_cannot_be_overridden_silently() -> None:
    with pytest.raises(TypeError, match="test_an_empty_commit_is_taken"):
        type("TestMine", (StoreContract,), {"test_an_empty_commit_is_taken": lambda self: None})


def test_the_plugin_offers_a_store_for_each_scheme(tmp_path: Path) -> None:
    factories = StoresPlugin().hive_stores()
    for scheme, url in {
        "memory": "memory://",
        "sqlite": f"sqlite:///{tmp_path}/new/folder/hive.db",
        "json": f"json:///{tmp_path}/new/folder/hive.json",
    }.items():
        store = factories[scheme](url)
        assert store.url == url
        assert store.journal.head() == 0
        store.close()
