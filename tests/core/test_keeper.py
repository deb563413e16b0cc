"""The keeper folds the journal and appends by compare-and-set."""

from __future__ import annotations

import threading

import pytest

from hivefeedback.control import JournalKeeper
from hivefeedback.errors import ConflictError, StoreUnreachableError
from hivefeedback.hooks import Store
from hivefeedback.model import (
    Configuration,
    Deployment,
    JournalEntry,
    Ledger,
    Mutation,
    MutationKind,
    PutDeployment,
    PutPrompt,
    Rollout,
    UsePrompt,
)
from hivefeedback_stores.memory import MemoryStore

SWAP = Mutation(kind=MutationKind.MODEL_SWAP, target="a", to="y", mutation_id="m-2")


@pytest.fixture
def store() -> Store:
    return MemoryStore()


def put(model: str) -> tuple[PutDeployment]:
    return (PutDeployment(Deployment("a", model=model)),)


def edit(model: str = "x") -> JournalEntry:
    return JournalEntry(at_s=1.0, state="edited", by="test", patch=put(model))


def counting_edit(config: Configuration, ledger: Ledger) -> JournalEntry:
    """Adds one to a number that the configuration holds, so that a lost update shows."""
    old = config.deployments["a"].model if "a" in config.deployments else "0"
    return edit(str(int(old) + 1))


def test_an_entry_of_another_process_is_seen_after_a_refresh_and_not_before(store: Store) -> None:
    one, two = JournalKeeper(store), JournalKeeper(store)
    one.append(lambda config, ledger: edit())
    assert two.configuration.version == 0
    assert two.refresh()
    assert two.configuration.deployments["a"].model == "x"
    assert not two.refresh()


def test_nothing_is_appended_where_the_builder_has_nothing(store: Store) -> None:
    assert JournalKeeper(store).append(lambda config, ledger: None) is None
    assert store.journal.head() == 0


def test_two_keepers_that_race_lose_no_update(store: Store) -> None:
    keepers = [JournalKeeper(store) for _ in range(4)]

    def work(keeper: JournalKeeper) -> None:
        for _ in range(25):
            keeper.append(counting_edit)

    threads = [threading.Thread(target=work, args=(k,)) for k in keepers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keepers[0].refresh()
    assert keepers[0].configuration.deployments["a"].model == "100"
    assert store.journal.head() == 100


def test_the_builder_is_asked_again_with_the_newer_state_after_a_lost_race(store: Store) -> None:
    keeper, other = JournalKeeper(store), JournalKeeper(store)
    seen: list[int] = []

    def build(config: Configuration, ledger: Ledger) -> JournalEntry:
        if not seen:
            other.append(lambda c, x: edit("first"))
        seen.append(config.version)
        return edit("second")

    keeper.append(build)
    assert seen == [0, 1]
    assert [e.patch for e in store.journal.read()] == [put("first"), put("second")]


def test_an_entry_with_an_old_token_is_refused_and_one_without_is_not(store: Store) -> None:
    first = store.config.acquire("old", length_s=15)
    store.config.release("old")
    second = store.config.acquire("new", length_s=15)
    assert first is not None
    assert second is not None
    keeper = JournalKeeper(store)
    with pytest.raises(ConflictError):
        keeper.append(lambda config, ledger: edit(), token=first.token)
    assert store.journal.head() == 0
    assert keeper.append(lambda config, ledger: edit()) is not None
    assert keeper.append(lambda config, ledger: edit(), token=second.token) is not None


def test_a_start_uses_the_checkpoint_and_folds_only_what_came_after(store: Store) -> None:
    keeper = JournalKeeper(store, checkpoint_every=5)
    for _ in range(7):
        keeper.append(counting_edit)
    checkpoint = store.config.load()
    assert checkpoint is not None
    assert checkpoint.version == 5
    fresh = JournalKeeper(store)
    assert fresh.configuration == keeper.configuration
    assert fresh.ledger == keeper.ledger


def test_a_checkpoint_that_is_ahead_of_the_journal_is_ignored(store: Store) -> None:
    JournalKeeper(store).append(lambda config, ledger: edit())
    store.config.save(Configuration(version=9))
    assert JournalKeeper(store).configuration.deployments["a"].model == "x"


def test_a_checkpoint_that_cannot_be_saved_does_not_fail_the_append(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(config: Configuration) -> None:
        raise StoreUnreachableError("the disk is full")

    monkeypatch.setattr(store.config, "save", full)
    assert JournalKeeper(store, checkpoint_every=1).append(lambda config, ledger: edit()) is not None


def test_the_way_back_from_a_promotion_is_known_to_who_saw_it_and_to_who_reads_it_later(store: Store) -> None:
    keeper = JournalKeeper(store)
    keeper.append(lambda config, ledger: edit("x"))
    keeper.append(lambda c, x: JournalEntry(at_s=2.0, state="proposed", mutation_id="m-2", mutation=SWAP))
    keeper.append(lambda c, x: JournalEntry(at_s=3.0, state="promoted", mutation_id="m-2", patch=put("y")))
    assert keeper.ledger.lives["m-2"].undo == put("x")
    assert JournalKeeper(store).ledger.lives["m-2"].undo == put("x")


def test_bodies_are_those_in_use_and_those_of_open_rollouts(store: Store) -> None:
    keeper = JournalKeeper(store)
    old, new, unused = (store.journal.put_body(text) for text in ("old {x}", "new {x}", "unused"))
    served = (PutPrompt("p", 1, unused), PutPrompt("p", 2, old), UsePrompt("p", 2))
    keeper.append(lambda c, x: JournalEntry(at_s=1.0, state="edited", patch=served))
    assert dict(keeper.bodies()) == {old: "old {x}"}
    rollout = Rollout(
        rollout_id="m-2",
        mutation=SWAP,
        patch=(PutPrompt("p", 3, new), UsePrompt("p", 3)),
        salt="s",
        share=0.05,
        step=0,
        started_at_s=1.0,
        step_started_at_s=1.0,
    )
    keeper.append(lambda c, x: JournalEntry(at_s=2.0, state="canary", mutation_id="m-2", rollout=rollout))
    assert dict(keeper.bodies()) == {old: "old {x}", new: "new {x}"}


def test_an_erased_body_is_forgotten_when_the_journal_says_so(store: Store) -> None:
    keeper = JournalKeeper(store)
    body = store.journal.put_body("secret")
    keeper.append(
        lambda c, x: JournalEntry(at_s=1.0, state="edited", patch=(PutPrompt("p", 1, body), UsePrompt("p", 1)))
    )
    assert dict(keeper.bodies()) == {body: "secret"}
    store.journal.erase_body(body)
    JournalKeeper(store).append(lambda c, x: JournalEntry(at_s=2.0, state="erased"))
    keeper.refresh()
    assert dict(keeper.bodies()) == {}
    assert keeper.body(body) == ""
