"""Redis tells of changes by itself: no process waits for its next look."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.hooks import Store, WatchedJournal
from hivefeedback.model import JournalEntry, Mutation, MutationKind
from hivefeedback.testing.store_samples import T0
from hivefeedback_stores.redis import RedisStore
from tests.plugins.redis_servers import AOF, DEADLINE_S, running

THREAD = "hivefeedback-redis-watch"
SERVING = """
import sys, time
from hivefeedback import Deployment, FeedbackLoop

loop = FeedbackLoop(store=sys.argv[1], deployments=[Deployment("a")])
committer = loop._engine.committer
committer._poll_every_s = 60.0
committer.look()
while committer._next_poll < time.monotonic() + 30.0:
    time.sleep(0.001)
print("ready", flush=True)
while not loop.configuration.rollouts:
    time.sleep(0.001)
print("served", flush=True)
loop.close()
"""
FORKING = """
import os, sys, threading
from hivefeedback.model import JournalEntry
from hivefeedback_stores.redis import RedisStore

store, told = RedisStore(sys.argv[1]), threading.Event()

def is_told_of_an_entry():
    told.wait(10)
    told.clear()
    store.journal.append(JournalEntry(at_s=1.0, state="edited"), expected_head=store.journal.head())
    return told.wait(10)

store.journal.watch(told.set)
assert is_told_of_an_entry()
child = os.fork()
if child == 0:
    told.clear()
    store.journal.watch(told.set)
    is_told = is_told_of_an_entry()
    store.close()
    os._exit(0 if is_told else 1)
_, status = os.waitpid(child, 0)
assert is_told_of_an_entry()
store.close()
sys.exit(os.waitstatus_to_exitcode(status))
"""


def _watched(store: Store) -> tuple[threading.Event, Callable[[], None]]:
    """Set whenever the journal of a store is told to have grown; ready when this returns."""
    told = threading.Event()
    assert isinstance(store.journal, WatchedJournal)
    end = store.journal.watch(told.set)
    assert told.wait(DEADLINE_S)
    told.clear()
    return told, end


def _append(store: Store) -> None:
    store.journal.append(JournalEntry(at_s=T0, state="edited"), expected_head=store.journal.head())


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


def test_what_one_process_approves_is_served_by_another_long_before_its_next_look(redis_url: str) -> None:
    serving = subprocess.Popen([sys.executable, "-c", SERVING, redis_url], stdout=subprocess.PIPE, text=True)
    assert serving.stdout is not None
    with FeedbackLoop(store=redis_url, prompts={"p": "a text"}) as loop:
        assert serving.stdout.readline() == "ready\n"
        patch = Mutation(kind=MutationKind.PROMPT_PATCH, target="p", to="another text", risk="high")
        waiting = loop.propose(patch)
        start_s = time.monotonic()
        loop.approve(waiting, by="me", why="it reads better")
        assert loop.turn().receipts
        assert serving.stdout.readline() == "served\n"
        assert time.monotonic() - start_s < 10.0  # a sixth of what it would have waited for
    serving.communicate(timeout=DEADLINE_S)
    assert serving.returncode == 0


def test_who_watches_is_told_again_after_redis_was_gone(redis_program: str, tmp_path: Path) -> None:
    with running(redis_program, tmp_path, *AOF) as server:
        store, other = RedisStore(server.url()), RedisStore(server.url())
        told, _ = _watched(store)
        for end in (server.kill, server.stop):
            end()
            server.start()
            assert told.wait(DEADLINE_S)  # a word may have come while nobody was connected
            told.clear()
            _append(other)
            assert told.wait(DEADLINE_S)
            told.clear()
        for each in (store, other):
            each.close()


def test_who_watches_no_longer_is_not_told_and_the_thread_ends_with_the_store(redis_url: str) -> None:
    before = _threads()
    store, other = RedisStore(redis_url), RedisStore(redis_url)
    told, _ = _watched(store)
    more, end = _watched_again(store)
    assert len(_threads()) == len(before) + 1  # one for all who watch
    end()
    _append(other)
    assert told.wait(DEADLINE_S)
    assert not more.is_set()
    store.close()
    assert _threads() == before
    other.close()


def _watched_again(store: Store) -> tuple[threading.Event, Callable[[], None]]:
    told = threading.Event()
    assert isinstance(store.journal, WatchedJournal)
    return told, store.journal.watch(told.set)


def test_a_store_that_nobody_watches_needs_no_thread(redis_store: RedisStore) -> None:
    before = _threads()
    _append(redis_store)
    assert _threads() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_parent_and_child_are_both_told_after_a_fork(redis_url: str) -> None:
    done = subprocess.run([sys.executable, "-c", FORKING, redis_url], capture_output=True, timeout=60, text=True)
    assert done.returncode == 0, done.stderr


def test_a_user_who_may_hear_no_channel_appends_and_finds_changes_by_asking(redis_program: str, tmp_path: Path) -> None:
    with running(redis_program, tmp_path) as server:
        server.cli("ACL", "SETUSER", "deaf", "on", ">pw", "~hive:*", "+@all", "-@dangerous", "resetchannels")
        server.cli("ACL", "SETUSER", "hive", "on", ">pw", "~hive:*", "&hive:*", "+@all", "-@dangerous")
        deaf, store = RedisStore(server.url(user="deaf:pw@")), RedisStore(server.url(user="hive:pw@"))
        told, _ = _watched(store)
        assert isinstance(deaf.journal, WatchedJournal)
        deaf.journal.watch(told.set)
        _append(deaf)
        assert (store.journal.head(), told.is_set()) == (1, False)
        _append(store)
        assert told.wait(DEADLINE_S)
        assert deaf.journal.head() == 2
        for each in (deaf, store):
            each.close()
