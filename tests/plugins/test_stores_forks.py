"""A database begins anew in a forked child, once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hivefeedback_stores.sqlite_database import Database


@pytest.fixture
def database(tmp_path: Path) -> Database:
    path = tmp_path / "hive.db"
    return Database(f"sqlite:///{path}", path, read_only=False, busy_timeout_s=5.0)


def test_who_is_told_of_a_fork_late_leaves_the_connections_that_are_in_use(database: Database) -> None:
    """The loop may hear of a fork before its store does, and use it at once."""
    with database.write(is_secure=True) as connection:
        database.renew()
        connection.execute("SELECT 1")
    with database.read() as connection:
        database.renew()
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] > 0
    database.close()


def test_in_a_child_it_begins_with_connections_of_its_own(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.read() as before:
        pass
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with database.read() as after:
        assert after is not before
    database.close()
