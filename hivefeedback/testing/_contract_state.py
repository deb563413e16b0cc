"""Small records: versions, compare-and-set, expiry."""

from __future__ import annotations

import pytest

from hivefeedback.errors import ConflictError
from hivefeedback.hooks import Record, Store
from hivefeedback.testing._contract_base import ContractTime, in_threads

__all__ = ["StateContract"]


class StateContract:
    """Records by namespace and key."""

    def test_a_record_that_was_never_written_is_none(self, store: Store) -> None:
        assert store.state.get("n", "k") is None
        assert store.state.delete("n", "k") is False
        assert list(store.state.list("n")) == []

    def test_each_put_makes_the_next_version(self, store: Store) -> None:
        for version in (1, 2, 3):
            written = store.state.put(Record("n", "k", b"%d" % version, version=99))
            assert written == Record("n", "k", b"%d" % version, version)
            assert store.state.get("n", "k") == written

    @pytest.mark.parametrize("value", [b"", b"\x00\xff\xfe", b'{"a": 1}', "日本".encode(), b"x" * 300_000])
    def test_values_are_kept_byte_for_byte(self, store: Store, value: bytes) -> None:
        store.state.put(Record("n", "k", value))
        record = store.state.get("n", "k")
        assert record is not None
        assert record.value == value

    def test_a_put_that_expects_another_version_is_a_conflict_and_writes_nothing(self, store: Store) -> None:
        store.state.put(Record("n", "k", b"1"), expected=0)
        for expected in (0, 2):
            with pytest.raises(ConflictError):
                store.state.put(Record("n", "k", b"2"), expected=expected)
        assert store.state.put(Record("n", "k", b"3"), expected=1).version == 2
        with pytest.raises(ConflictError):
            store.state.put(Record("n", "other", b"1"), expected=1)
        assert store.state.get("n", "other") is None

    def test_a_record_is_deleted_once(self, store: Store) -> None:
        store.state.put(Record("n", "k", b"1"))
        assert store.state.delete("n", "k") is True
        assert store.state.delete("n", "k") is False
        assert store.state.put(Record("n", "k", b"2"), expected=0).version == 1

    def test_records_are_listed_by_namespace_and_prefix_in_order_of_key(self, store: Store) -> None:
        for namespace, key in (("n", "b"), ("n", "a/2"), ("n", "a/1"), ("n", "a%"), ("n", "ä"), ("m", "a/3")):
            store.state.put(Record(namespace, key, key.encode()))
        assert [r.key for r in store.state.list("n")] == ["a%", "a/1", "a/2", "b", "ä"]
        assert [r.key for r in store.state.list("n", prefix="a/")] == ["a/1", "a/2"]
        assert [r.key for r in store.state.list("n", prefix="%")] == []

    def test_a_record_vanishes_when_it_expires(self, timed_store: Store, time: ContractTime) -> None:
        state = timed_store.state
        state.put(Record("n", "k", b"1", expires_at_s=time.clock() + 10))
        state.put(Record("n", "stays", b"1"))
        time.clock.advance(9.5)
        assert state.get("n", "k") is not None
        time.clock.advance(0.5)
        assert state.get("n", "k") is None
        assert [r.key for r in state.list("n")] == ["stays"]
        assert state.delete("n", "k") is False
        assert state.put(Record("n", "k", b"2"), expected=0).version == 1

    def test_threads_that_count_by_compare_and_set_lose_nothing(self, store: Store) -> None:
        n_threads, n_steps = 4, 8

        def count() -> None:
            left = n_steps
            while left:
                old = store.state.get("n", "count")
                value, version = (int(old.value), old.version) if old else (0, 0)
                try:
                    store.state.put(Record("n", "count", str(value + 1).encode()), expected=version)
                    left -= 1
                except ConflictError:
                    continue

        in_threads([count] * n_threads)
        record = store.state.get("n", "count")
        assert record is not None
        assert int(record.value) == record.version == n_threads * n_steps
