"""Puts the three threads together: serving, recording, control.

Two ways of running, one code. Threaded: a ring, the recorder's thread, the committer's thread.
Inline (a loop with a given clock): the same recorder runs on the caller's thread under one lock,
so that a record is learnt and committed before it returns.
"""

from __future__ import annotations

import itertools
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Collection, Sequence
from functools import partial
from importlib.metadata import version

from hivefeedback.control import Control
from hivefeedback.engine.beside import Beside
from hivefeedback.engine.bus.bus import Bus
from hivefeedback.engine.closing import close_within
from hivefeedback.engine.desk import Desk
from hivefeedback.engine.identity import Identity, user_key
from hivefeedback.engine.pace import edge_of, recorder_options
from hivefeedback.engine.restoring import dumped, restore_breakers, restore_policy, restored_rule
from hivefeedback.engine.sampling import Sampling
from hivefeedback.engine.values import EngineValues, shaping
from hivefeedback.hooks import Breath, LearnsShared, Policy, Store, WatchedJournal
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import Decision, Event, Feedback, Run, SegmentStarted, Snapshot
from hivefeedback.model.item import Item
from hivefeedback.recording import (
    Awaiting,
    Breakers,
    Committer,
    Counters,
    Drops,
    EventMaker,
    Evidence,
    HarmTests,
    Heard,
    Joins,
    Letters,
    Listener,
    Lookup,
    Others,
    Outbox,
    Owners,
    Parts,
    Peers,
    Probes,
    Recorder,
    RecorderThread,
    Refresher,
    RefusingIntake,
    Signals,
    Told,
    cut,
    origin_of,
    tell_loaded,
)
from hivefeedback.serving import Decider, Draws, Live, Ring

__all__ = ["Engine"]

_ROUNDS = 4
"""How often answers of the store may lead to further questions before a flush no longer waits for them."""


class Engine:
    """One process's running parts.

    Args:
        values: The settings.
        registry: The plugins.
        store: Where everything is kept.
        control: The journal's side.
        policy: What learns.
        identity: Who this process is.
        seed: Of all draws.
        clock: Seconds since 1970 UTC.
        is_inline: Run on the caller's thread.
        counters: Where what goes wrong is counted.
        bus: Hears of each commit's events.
        on_poll: Called whenever the journal was looked at, on the committer's thread.
    """

    def __init__(
        self,
        values: EngineValues,
        registry: Registry,
        store: Store,
        control: Control,
        policy: Policy,
        identity: Identity,
        *,
        seed: int,
        clock: Callable[[], float],
        is_inline: bool,
        counters: Counters,
        bus: Bus,
        on_poll: Callable[[], None] = lambda: None,
    ) -> None:
        self._values, self._registry, self._store, self._control = values, registry, store, control
        self.policy, self.identity, self.seed, self.clock = policy, identity, seed, clock
        self.is_inline, self.counters, self._on_poll = is_inline, counters, on_poll
        self._lock = threading.RLock()
        self._is_draining = self._has_configured = False
        self._unwatch: Callable[[], None] = lambda: None
        self._n_erasures = control.n_erasures
        self.numbers = itertools.count(1)
        self.run_prefix = f"r{identity.prefix}"
        self.breakers = Breakers(
            failures=values.breaker_failures, base_s=values.breaker_base_s, cap_s=values.breaker_cap_s
        )
        self._listener = Listener(store, identity.producer, identity.epoch)
        self._owners = Owners(store.state, origin_of(identity.producer, identity.epoch), length_s=values.lease_s)
        self._peers = Peers(store.state, self._owners)
        learnt = restore_policy(policy, store.state, counters)
        self._signals = Signals(n_learnt=learnt.n, seen=dict(learnt.seen or {}))
        is_sharing = isinstance(policy, LearnsShared)
        self._others = Others(store.state, policy.name, self._owners.own, learnt.seen) if is_sharing else None
        restore_breakers(self.breakers, store.state, self._peers)
        snapshot = self._first_snapshot()
        self.live = Live(snapshot, clock())
        self.ring: Ring[Item] = Ring(values.ring_size)
        self.drops = Drops(self.ring.dropped, counters)
        self._edge = edge_of(values)
        self._desk = Desk(store, self.ring, counters, is_inline=is_inline, edge=self._edge)
        self.beside = self._make_beside(bus)
        self.decider = self._make_decider()
        self.committer = Committer(
            store, self, counters, max_events=values.pending_commits, poll_every_s=values.config_poll_s
        )
        self.recorder = self._make_recorder(snapshot)
        self._desk.open(self.committer, self.recorder, self.beside.letters, bus.publish)
        self.thread = RecorderThread(self.ring, self.recorder, counters, slice_runs=values.slice_runs, clock=clock)

    # --- building -----------------------------------------------------------------------------------

    def _first_snapshot(self) -> Snapshot:
        return Snapshot(
            mode=self._values.mode,
            config=self._control.configuration,
            bodies=self._control.bodies(),
            weights_version=0,
            index={},
            open_breakers=frozenset(),
            probes={},
            stopped=frozenset(),
            offers={},
            same={},
        )

    def _make_beside(self, bus: Bus) -> Beside:
        values, clock = self._values, self.clock
        producer, epoch = self.identity.producer, self.identity.epoch
        beside = Beside(
            bus=bus,
            letters=Letters(producer, epoch, self.counters, clock=clock, horizon_s=values.judgement_horizon_s),
            sampling=Sampling(self._registry, self.ring.__len__, clock),
            desk=self._desk,
            outbox=Outbox(producer, epoch, self._desk.send, store_content=values.store_content),
            events=EventMaker(producer, epoch, self.numbers, clock),
            store=self._store,
            lock=self._lock,
            is_inline=self.is_inline,
            clock=clock,
        )
        bus.on_failed = beside.note_failed
        return beside

    def _make_decider(self) -> Decider:
        values, identity = self._values, self.identity
        return Decider(
            self.live,
            self.ring,
            self.numbers,
            Draws(self.seed, identity.producer, identity.epoch),
            prefix=f"d{identity.prefix}",
            clock=self.clock,
            session_memory=values.session_memory,
            max_stale_s=values.canary_max_stale_s,
        )

    def _make_recorder(self, snapshot: Snapshot) -> Recorder:
        values, counters = self._values, self.counters
        origin = self._owners.own
        parts = Parts(
            registry=self._registry,
            policy=self.policy,
            breakers=self.breakers,
            harm=HarmTests(alpha=values.canary_alpha, unit_memory=values.session_memory),
            rule=restored_rule(values.judgements, self._store.state),
            intake=RefusingIntake(
                counters,
                self.beside.letters,
                user_key=user_key(self._store),
                max_comment_bytes=values.max_comment_bytes,
            ),
            joins=Joins(values.join_memory),
            outbox=self.beside.outbox,
            refresher=Refresher(
                self.policy, snapshot, self._publish, counters, breath=None if self.is_inline else Breath()
            ),
            counters=counters,
            drops=self.drops,
            events=self.beside.events,
            clock=self.clock,
            owners=self._owners,
            awaiting=Awaiting(origin, values.judgement_horizon_s),
            lookup=Lookup(self._store, self._owners, is_sampled=self._edge is not None),
            letters=self.beside.letters,
            ask=self._desk.ask,
            probes=Probes(self._store.state, self._owners),
            signals=self._signals,
            edge=self._edge,
            evidence=Evidence() if self._others is not None else None,
        )
        options = recorder_options(values, commit_every_s=self._store.commit_every_s, is_inline=self.is_inline)
        return Recorder(parts, options)

    def _publish(self, snapshot: Snapshot) -> None:
        self.live.snapshot = snapshot

    def start(self) -> None:
        """Serve the configuration and begin to learn."""
        tell_loaded(self._store, self._control.configuration)
        self.recorder.recall_ended(self._control.ledger.ended_rollouts())
        self.recorder.begin(self._checkpoint)
        self._configuring(self.clock())()
        self.recorder.hear(self._listen(self._control.configuration.rollouts))
        if not self.is_inline:
            self.recorder.prime()
            self.committer.start()
            self.thread.start()
            if isinstance(self._store.journal, WatchedJournal):
                self._unwatch = self._store.journal.watch(self.committer.look)

    def _checkpoint(self) -> SegmentStarted:
        """Everything that the decisions to come depend on, beside what will be logged."""
        return SegmentStarted(
            seed=self.seed,
            config_version=self._control.configuration.version,
            policy=self.policy.name,
            policy_state=b64encode(dumped(self.policy, self.counters)).decode(),
            breakers=b64encode(self.breakers.dump()).decode(),
            judged=self.recorder.judged,
            settings=shaping(self._values),
            plugins={info.name: info.origin for info in self._registry.plugins() if info.state == "ok"},
            software=version("hivefeedback"),
        )

    def erased(self, selector: str, n_events: int) -> None:
        """Something was erased here (``selector`` names no person): log that, and forget what is remembered of runs."""
        self.do(partial(self.recorder.erased, selector, n_events))

    def do(self, work: Callable[[], object]) -> None:
        """Have something done where learning is done: inline at once, else soon, between two slices."""
        if not self.is_inline:
            self._desk.post(work)
            return
        with self._lock:
            work()
            self.recorder.hand_over(self.clock(), is_flush=True)

    def take_over(self) -> None:
        """Take over what processes left that are gone, and remove what nobody needs of it."""
        self.do(self.recorder.take_over)

    # --- what the host calls --------------------------------------------------------------------------

    def decide(
        self, operation: str, candidates: Sequence[str] | None, session_id: str | None, sticky: bool
    ) -> Decision:
        """Inline decision: what is due by time happens first, and the decision is logged at once."""
        with self._lock:
            if not 0 <= self.clock() - self.live.refreshed_at_s < self._values.config_poll_s:
                self._poll_inline()
            self.recorder.tick(self.clock())
            decision = self.decider.decide(operation, candidates, session_id, sticky)
            self._drain()
            return decision

    def put(self, thing: Run | Feedback) -> int:
        """Take in a run or feedback; answers its number."""
        seq = next(self.numbers)
        if isinstance(thing, Feedback):
            thing = cut(thing, self._values.max_comment_bytes)
        self.ring.put((seq, self.clock(), thing))
        if self.is_inline:
            with self._lock:
                if isinstance(thing, Feedback):
                    self._hear_peers()  # what came in elsewhere came before
                self._drain()
        return seq

    def _drain(self) -> None:
        """Learn what the ring holds, on this thread. What a hook says meanwhile comes after its batch."""
        if self._is_draining:
            return
        self._is_draining = True
        try:
            while items := self.ring.take(self._values.slice_runs):
                things = [item for item in items if not callable(item[2])]
                if things:
                    self.recorder.process(things)
                for _, _, call in items:
                    if callable(call):
                        call()
        finally:
            self._is_draining = False
        self.beside.after_drain()

    def flush(self, timeout_s: float | None, *, asks: bool = True) -> bool:
        """Wait until everything taken in so far is learnt and committed; False where time ran out, or
        where the store refused some of it meanwhile.

        Args:
            timeout_s: How long at most; None: without end.
            asks: Also wait until the log was asked for runs that feedback waits for. A turn does not: on a busy
                loop there always is some that its run follows in a moment.
        """
        if self.is_inline:
            with self._lock:
                self._drain()
                self._hear_peers()
                self.recorder.hand_over(self.clock(), is_flush=True)
                is_done = self._desk.write()
                self.beside.bus.deliver()
                return is_done
        if self.thread.is_current:
            return False  # a hook asks: what it waits for comes after it
        done = threading.Event()
        n_lost = self._n_lost()
        self._desk.post(partial(self._mark, done, _ROUNDS if asks else 0))
        return done.wait(timeout_s) and self._n_lost() == n_lost

    def _n_lost(self) -> int:
        """Events that were taken in and are not in the store, for good."""
        return self.counters["events_uncommitted"] + self.counters["events_unwritable"]

    def _mark(self, done: threading.Event, n_rounds: int) -> None:
        """Send what was learnt; where the store was asked something, once more when it has answered."""
        self.recorder.note_dropped(self.ring.dropped)
        self.recorder.hand_over(self.clock(), is_flush=True, asks=n_rounds > 0)
        if not self._desk.n_asked or not n_rounds:
            self.committer.mark(done)
            return
        again = partial(self._mark, done, n_rounds - 1)
        if not self.committer.do(lambda: self._desk.post(again)):
            self.committer.mark(done)

    # --- the configuration ------------------------------------------------------------------------------

    def follow(self, *, is_known: bool = True) -> None:
        """Serve the configuration that control knows now; returns when it is served.

        Args:
            is_known: False where control could not be asked: what it knows may be out of date.
        """
        serve = self._configuring(self.clock() if is_known else None)
        if self.is_inline or self.thread.is_current:
            with self._lock:
                serve()
            return
        done = threading.Event()

        def configure() -> None:
            try:
                serve()
            finally:
                done.set()

        self._desk.post(configure)
        done.wait(1.0)

    def _configuring(self, known_at_s: float | None) -> Callable[[], None]:
        """What the recorder has to do to serve what control knows. The store is asked here, on the
        calling thread; the configuration counts as fresh from when it was known, once it is served."""
        config, bodies = self._control.configuration, dict(self._control.bodies())
        lives, n_erasures = self._control.ledger.lives, self._control.n_erasures
        promoted = frozenset(name for name, life in lives.items() if life.state == "promoted")

        def serve() -> None:
            is_erased = n_erasures > self._n_erasures
            if is_erased:
                self._n_erasures = n_erasures
                self.recorder.forget_runs()
            served = self.live.snapshot.config.version
            if config.version > served or not self._has_configured or is_erased:
                self._has_configured = True
                self.recorder.configure(config, bodies, promoted)
            if config.version >= served and known_at_s is not None:  # else a newer one came in between
                self.live.refreshed_at_s = known_at_s

        return serve

    def on_poll(self) -> None:
        """The committer's thread: look for entries of other processes."""
        self.drops.count()  # the recorder may hang in a plugin
        known_at_s = self.clock()
        is_new = self._control.refresh()
        heard = self._listen(self.recorder.suspected)  # first: only who hears of stops may serve a canary on
        if is_new or self.live.snapshot.config.version != self._control.configuration.version:
            self._desk.post(self._configuring(known_at_s))
        else:
            self.live.refreshed_at_s = known_at_s
        if heard:
            self._desk.post(partial(self.recorder.hear, heard))
        if news := self._peers.news():
            self._desk.post(partial(self.recorder.take, *news))
        learnt, gone = self._learnt_elsewhere(known_at_s)
        if learnt or gone:
            self._desk.post(partial(self.recorder.learn_shared, learnt, gone))
        self._on_poll()
        self.beside.on_poll()

    def _learnt_elsewhere(self, now_s: float) -> tuple[Sequence[Told], Sequence[str]]:
        """What other processes learnt, and which of them told it too long ago to be there still."""
        return (self._others.news(now_s), self._others.gone()) if self._others is not None else ((), ())

    def _listen(self, suspected: Collection[str]) -> dict[str, Heard]:
        """What other processes told of the open rollouts; all of it about those that are suspected."""
        rollouts = self._control.configuration.rollouts
        return self._listener.listen((n for n, rollout in rollouts.items() if not rollout.is_paused), suspected)

    def _poll_inline(self) -> None:
        """The same on the caller's thread, for a loop with a given clock."""
        try:
            is_new = self._control.refresh()
            serve, heard = self._configuring(self.clock()), self._listen(self.recorder.suspected)
        except Exception as error:  # noqa: BLE001  # the store's: what was served is served on, until it gets stale
            self.counters.note("store_errors", f"{type(error).__name__}: {error}")
            return
        if is_new:
            serve()
        self.recorder.hear(heard)
        self._hear_peers()
        self.live.refreshed_at_s = self.clock()

    def _hear_peers(self) -> None:
        """What other processes told, taken in on this thread."""
        try:
            news, (learnt, gone) = self._peers.news(), self._learnt_elsewhere(self.clock())
        except Exception as error:  # noqa: BLE001  # the committer's work: the store may be broken in any way
            self.counters.note("store_errors", f"{type(error).__name__}: {error}")
            return
        if news is not None:
            self.recorder.take(*news)
        if learnt or gone:
            self.recorder.learn_shared(learnt, gone)

    def on_checked(self, repeated: Sequence[Event]) -> None:
        """The committer's thread: these runs of a commit were in the log already."""
        self._desk.checked(repeated)

    # --- the end ----------------------------------------------------------------------------------------------------

    def stop(self, timeout_s: float) -> bool:
        """Learn and write what waits, then end the threads; False where that took too long."""
        if self.is_inline:
            with self._lock:
                self._drain()
                self._hear_peers()
                self.recorder.hand_over(self.clock(), is_final=True)
                is_done = self._desk.write()
                self._release()
            return is_done
        end = time.monotonic() + timeout_s
        self._unwatch()
        is_done = self.thread.stop(timeout_s)
        is_done = self.committer.stop(max(0.1, end - time.monotonic())) and is_done
        if is_done:
            close_within(max(0.1, end - time.monotonic()), {"what came in last was not learnt": self._settle_rest})
        return is_done

    def _settle_rest(self) -> None:
        """The threads have ended: take in what the store answered last, and let others own the runs."""
        for _ in range(_ROUNDS):
            self._hear_peers()
            self._drain()
            self.recorder.hand_over(self.clock(), is_final=True)
            while self.committer.do_next():
                pass
            if not len(self.ring):
                break
        self._release()

    def _release(self) -> None:
        try:
            self._owners.release()
        except Exception as error:  # noqa: BLE001  # the store may be broken in any way; the claim expires by itself
            self.counters.note("store_errors", f"{type(error).__name__}: {error}")
