"""The Redis store keeps the contract that strangers' stores keep, on one server and on a Cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hivefeedback.errors import StoreUnreachableError
from hivefeedback.hooks import Store
from hivefeedback.testing import StoreContract
from hivefeedback_stores.redis import RedisStore
from tests.plugins.redis_servers import RedisServer, cluster, name_of


@pytest.fixture(scope="module")
def cluster_url(redis_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Up to the store's name, of a Cluster with three nodes."""
    with cluster(redis_program, tmp_path_factory.mktemp("cluster")) as nodes:
        yield f"redis://127.0.0.1:{nodes[0].port}?cluster=true&name="


class _RedisContract(StoreContract):
    url = ""
    options = ""

    def make_store(self, folder: Path) -> Store:
        return RedisStore(self.url + name_of(folder) + self.options)

    def make_timed_store(self, folder: Path, *, clock: Callable[[], float], monotonic: Callable[[], float]) -> Store:
        return RedisStore(self.url + name_of(folder) + self.options, clock=clock, monotonic=monotonic)


class TestRedisStore(_RedisContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_server: RedisServer) -> None:
        self.url = redis_server.url("")


class TestRedisStoreOfThreeShards(TestRedisStore):
    options = "&shards=3"


class TestRedisStoreThatFoldsAtOnce(_RedisContract):
    """The same with hardly a delta waiting."""

    @pytest.fixture(autouse=True)
    def _server(self, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.url = redis_server.url("")
        monkeypatch.setattr("hivefeedback_stores.redis_commit.FOLD_AT", 2)


class TestRedisStoreOnACluster(_RedisContract):
    @pytest.fixture(autouse=True)
    def _server(self, cluster_url: str) -> None:
        self.url = cluster_url


class TestRedisStoreOfThreeShardsThatFoldsAtOnce(TestRedisStoreThatFoldsAtOnce):
    options = "&shards=3"


class TestRedisStoreOfThreeShardsOnACluster(TestRedisStoreOnACluster):
    options = "&shards=3"


def test_a_node_that_does_not_hold_the_store_says_how_to_name_the_cluster(cluster_url: str) -> None:
    def open_all() -> None:
        for name in "abcdef":  # at least one of them lies on another node
            RedisStore(cluster_url.replace("cluster=true&", "") + name).close()

    with pytest.raises(StoreUnreachableError, match=r"write \?cluster=true behind the URL"):
        open_all()
