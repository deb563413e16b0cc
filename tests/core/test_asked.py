"""Feedback whose run is looked for stays known as not settled, and has an heir."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hivefeedback.hooks import Commit
from hivefeedback.recording.feedback.asked import Asked
from hivefeedback.recording.feedback.owners import HANDED, Handed, Owners
from hivefeedback.recording.outbox import Outbox
from hivefeedback_stores.memory import MemoryStore


class Wall:
    """The machine's clock."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Process:
    """What a process has of it; ``outbox.hand_over`` commits."""

    def __init__(self, store: MemoryStore, name: str, wall: Wall) -> None:
        self._store = store
        self.outbox = Outbox(name, 1, self._send, store_content=False)
        self.owners = Owners(store.state, f"{name}/1", length_s=15.0, now=wall)
        self.asked = Asked(self.outbox, self.owners)

    def _send(self, commit: Commit, given: Sequence[str] = (), n_bytes: int = 0) -> bool:
        self._store.commit(commit)
        return True


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def store(wall: Wall) -> MemoryStore:
    return MemoryStore("memory://", clock=wall)


def test_what_is_asked_for_is_not_settled_until_it_was_handed_over(store: MemoryStore, wall: Wall) -> None:
    asker, owner = Process(store, "asker", wall), Process(store, "owner", wall)
    asker.asked.note("f", "run/r")
    asker.outbox.hand_over()
    assert owner.owners.waiting_for("owner/1") == {"f"}
    asker.outbox.put(Handed("r", "f", "f", "helpful", 1.0).record("owner/1"))
    asker.asked.settle("f")
    asker.outbox.hand_over()
    assert owner.owners.waiting_for("owner/1") == {"f"}, "now it is on its way"
    assert owner.owners.waiting_for("other/1") == set()
    assert owner.owners.asked() == []


def test_who_claims_the_origin_of_a_dead_process_asks_in_its_place_once(store: MemoryStore, wall: Wall) -> None:
    dead, one, two = (Process(store, name, wall) for name in ("dead", "one", "two"))
    dead.asked.note("f", "run/r")
    dead.outbox.hand_over()
    assert one.owners.asked() == [], "it gave a sign of life with the question"
    wall.now_s += 16.0
    assert one.owners.asked() == [("dead/1", "f", False)]
    assert two.owners.asked() == []
    assert [one.asked.take_over("dead/1", "f") for _ in range(2)] == [True, False]
    one.asked.settle("f")
    assert one.asked.take_over("dead/1", "f") is False, "it is settled, though not committed yet"
    one.outbox.hand_over()
    assert one.owners.asked() == []


def test_an_heir_looks_again_after_its_claim(store: MemoryStore, wall: Wall) -> None:
    """What the dead had settled with its last commit is not settled anew."""
    last = Process(store, "last", wall)
    last.outbox.put(last.owners.sign("last/1"))
    last.outbox.put(Handed("r", "f", "f", "helpful", 1.0).record("last/1"))
    last.outbox.hand_over()
    wall.now_s += 16.0

    class Late(Owners):
        def settles(self, origin: str) -> bool:
            store.state.delete(HANDED, f"{origin}/f")  # the commit that came in just before the end
            return super().settles(origin)

    assert Late(store.state, "heir/1", length_s=15.0, now=wall).handed() == []


def test_a_process_that_lost_its_origin_stops_to_ask(store: MemoryStore, wall: Wall) -> None:
    slow = Process(store, "slow", wall)
    slow.asked.note("f", "run/r")
    assert slow.asked.lose(["other/1"]) == []
    assert slow.asked.lose(["slow/1"]) == [("f", "run/r")]
    assert slow.asked.open == ()


def test_a_flood_of_questions_does_not_fill_the_store(store: MemoryStore, wall: Wall) -> None:
    process = Process(store, "p", wall)
    for i in range(2000):
        process.asked.note(f"f{i}", f"run/{i}")
    assert len(process.asked.open) == 1000
