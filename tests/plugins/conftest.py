"""A Redis server for the tests that ask for it; those that do it harm start their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hivefeedback_stores.redis import RedisStore
from tests.plugins.redis_servers import INSTALL, RedisServer, name_of, running


@pytest.fixture(scope="session")
def redis_program(skip_or_fail: Callable[[str, str], str]) -> str:
    """The path of redis-server."""
    return skip_or_fail("redis-server", INSTALL)


@pytest.fixture(scope="session")
def redis_server(redis_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that all tests share."""
    with running(redis_program, tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer, tmp_path: Path) -> str:
    """A store of the test's own."""
    return redis_server.url(name_of(tmp_path))


@pytest.fixture
def redis_store(redis_url: str) -> Iterator[RedisStore]:
    """The same, opened."""
    store = RedisStore(redis_url)
    yield store
    store.close()
